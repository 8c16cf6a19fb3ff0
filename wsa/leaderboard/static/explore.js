// The page "Explore": what is chosen is drawn and listed, and the address keeps it. Nothing else.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("explore-data").textContent);
  const [shapes, costs] = [data.shapes, Object.fromEntries(data.costs)];
  const [suites, methods] = [data.suites, data.methods]
    .map((known) => Object.fromEntries(known.map(([key, ...rest]) => [key, rest])));
  const form = document.getElementById("explore-controls");
  const rows = [...document.querySelectorAll("#explore tbody tr")];
  const names = Object.keys(costs);
  const make = (name, attributes = {}, text = "") => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const draw = (parent, name, attributes, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return parent.appendChild(made);
  };

  // a box for each suite and method
  for (const [name, legend, known] of [["suites", "Tasks", suites], ["methods", "Methods", methods]]) {
    const set = make("fieldset");
    set.append(make("legend", {}, legend));
    for (const [key, [title, colour, marker]] of Object.entries(known)) {
      const label = make("label");
      label.append(make("input", { type: "checkbox", name, value: key }), " ");
      if (name === "methods") {
        const chip = draw(label, "svg", { class: "chip", viewBox: "-1 -1 12 12", "aria-hidden": "true" });
        draw(chip, "path", { d: shapes[marker], fill: `var(--${colour})`, stroke: `var(--${colour})` });
      }
      label.append(title);
      set.append(label);
    }
    form.append(set);
  }
  const boxes = (name) => [...form.querySelectorAll(`input[name=${name}]`)];

  // the address: what is not as at first
  const read = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const name of ["suites", "methods"]) {
      const wanted = state.get(name)?.split(",");
      for (const box of boxes(name)) box.checked = !wanted || wanted.includes(box.value);
    }
    form.cost.value = names.includes(state.get("cost")) ? state.get("cost") : names[0];
    form.states.value = state.get("states") === "all" ? "all" : "";
    show();
  };
  const write = () => {
    const state = new URLSearchParams();
    if (form.cost.value !== names[0]) state.set("cost", form.cost.value);
    if (form.states.value) state.set("states", form.states.value);
    for (const name of ["suites", "methods"]) {
      const all = boxes(name);
      const chosen = all.filter((box) => box.checked).map((box) => box.value);
      if (chosen.length < all.length) state.set(name, chosen.join(","));
    }
    const text = state.toString();
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
    show();
  };

  const nice = (low, high, most) => {
    const power = 10 ** Math.floor(Math.log10((high - low) / most));
    const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => (high - low) / s <= most);
    const found = [];
    for (let i = Math.ceil(low / step); i * step <= high; i++) found.push(i * step);
    return found;
  };
  const powers = (low, high) => {
    const found = [];
    for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++) {
      for (const f of high / low < 40 ? [1, 2, 5] : [1]) if (f * 10 ** p >= low && f * 10 ** p <= high) found.push(f * 10 ** p);
    }
    return found;
  };
  const short = (v) => {
    for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) if (v >= size) return +(v / size).toPrecision(3) + " " + unit;
    return String(+v.toPrecision(3)).replace("-", "−");
  };

  function picture(suite, those, cost) {
    const [title, metric] = suites[suite];
    const at = names.indexOf(cost);
    const points = those.map((row) => ({
      row, mean: +row.dataset.mean, low: row.dataset.low && +row.dataset.low, high: row.dataset.high && +row.dataset.high,
      x: +row.cells[6 + at].dataset.value, look: methods[row.dataset.method],
    })).filter((point) => point.x > 0);
    const figure = make("figure");
    figure.append(make("h2", {}, title));
    if (!points.length) {
      figure.append(make("p", {}, "No chosen row has this cost."));
      return figure;
    }
    const room = document.getElementById("explore-pictures").clientWidth;
    const W = Math.min(480, Math.max(300, room)), H = 330, L = 46, R = 14, T = 28, B = 46;
    const xs = points.map((p) => p.x), means = points.map((p) => p.mean);
    const reach = 0.35 * (Math.max(...means) - Math.min(...means)) || 1;
    const ys = points.flatMap((p) => [p.mean, p.low, p.high]).filter((v) => v !== undefined)
      .map((v) => Math.min(Math.max(v, Math.min(...means) - reach), Math.max(...means) + reach));
    const log = Math.max(...xs) > 20 * Math.min(...xs);
    const warp = log ? Math.log10 : (v) => v;
    const ends = (values) => {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const margin = 0.08 * (high - low) || Math.abs(high) * 0.05 || 1;
      return [low - margin, high + margin];
    };
    const [x0, x1] = ends(xs.map(warp)), [y0, y1] = ends(ys);
    const X = (v) => L + (W - L - R) * (warp(v) - x0) / (x1 - x0);
    const Y = (v) => H - B - (H - B - T) * (v - y0) / (y1 - y0);
    const svg = draw(figure, "svg", {
      viewBox: `0 0 ${W} ${H}`, role: "img", "font-size": "12.5", fill: "none",
      "aria-label": `${title}: ${metric} against ${costs[cost].toLowerCase()}; the numbers are in the table below.`,
    });
    const label = (x, y, text, anchor = "middle", colour = "muted", bold = false) => draw(svg, "text", {
      x: x.toFixed(1), y: y.toFixed(1), fill: `var(--${colour})`, "text-anchor": anchor, class: "halo",
      ...(bold ? { "font-weight": 600 } : {}),
    }, text);
    for (const v of nice(y0, y1, 6)) {
      draw(svg, "path", { d: `M${L} ${Y(v).toFixed(1)}H${W - R}`, stroke: "var(--rule)" });
      label(L - 6, Y(v) + 4, short(v), "end");
    }
    for (const v of log ? powers(10 ** x0, 10 ** x1) : nice(x0, x1, 5)) if (v >= 0) label(X(v), H - B + 18, short(v));
    draw(svg, "path", { d: `M${L} ${H - B}H${W - R}`, stroke: "var(--rule)" });
    label((L + W - R) / 2, H - 8, costs[cost] + (cost === "memory" ? ", bytes" : cost === "seconds" ? ", seconds" : "") + (log ? " (logarithmic)" : ""));
    label(4, 14, metric, "start");

    // marks at one place stand side by side
    const spots = points.map((p) => ({ ...p, px: X(p.x), py: Y(p.mean) }));
    spots.forEach((spot, i) => {
      while (spots.slice(0, i).some((o) => Math.abs(o.px - spot.px) < 9 && Math.abs(o.py - spot.py) < 60)) spot.px += 10;
    });
    const taken = spots.map((s) => [s.px - 6, s.py - 8, s.px + 6, s.py + 8]);
    for (const { row, look: [name, colour, marker], px, py, low, high } of spots) {
      const cells = [...row.cells].map((cell) => cell.textContent.trim());
      const group = draw(svg, "g", { "data-tip": `${cells[1]}${cells[2] === "–" ? "" : ", " + cells[2]}\n${metric}: ${cells[3]}\n95 % interval: ${cells[4]}\nn: ${cells[5]}\n${costs[cost]}: ${cells[6 + at]}` });
      if (low !== undefined) {
        const [top, bottom] = [Math.max(Y(high), T), Math.min(Y(low), H - B)];
        draw(group, "path", { d: `M${px} ${top.toFixed(1)}V${bottom.toFixed(1)}`, stroke: `var(--${colour})`, "stroke-width": 1.4 });
      }
      const hollow = row.dataset.state !== "headline";
      draw(group, "path", {
        d: shapes[marker], transform: `translate(${px - 5} ${py - 5})`, "stroke-width": 1.6,
        fill: `var(--${hollow ? "paper" : colour})`, stroke: `var(--${colour})`,
      });
    }
    for (const { row, look: [name, colour], px, py } of spots) { // a name where there is room for it
      if (row.dataset.state !== "headline") continue;
      const words = name.replace(/, rank \d+$/, "").replace(/^(.{33}).{2,}$/, "$1…");
      const width = 7.9 * words.length;
      const places = [[px + 9, py + 4, "start"], [px - 9, py + 4, "end"], [px + 9, py - 9, "start"], [px - 9, py - 9, "end"],
        [px + 9, py + 17, "start"], [px - 9, py + 17, "end"]];
      for (const [x, y, anchor] of places) {
        const box = anchor === "start" ? [x, y - 11, x + width, y + 3] : [x - width, y - 11, x, y + 3];
        if (box[0] < L || box[2] > W - 4 || box[1] < T - 10 || box[3] > H - B) continue;
        if (taken.some((o) => o[0] < box[2] && o[2] > box[0] && o[1] < box[3] && o[3] > box[1])) continue;
        taken.push(box);
        label(x, y, words, anchor, colour, true);
        break;
      }
    }
    return figure;
  }

  function show() {
    const chosen = (name) => new Set(boxes(name).filter((box) => box.checked).map((box) => box.value));
    const [some, of] = [chosen("suites"), chosen("methods")];
    const kept = rows.filter((row) => {
      const keep = some.has(row.dataset.suite) && of.has(row.dataset.method) &&
        (form.states.value === "all" || row.dataset.state === "headline");
      row.hidden = !keep;
      return keep;
    });
    document.getElementById("explore-count").textContent = `${kept.length} of ${rows.length} rows`;
    document.getElementById("explore-pictures").replaceChildren(...Object.keys(suites)
      .map((suite) => [suite, kept.filter((row) => row.dataset.suite === suite)])
      .filter(([, those]) => those.length)
      .map(([suite, those]) => picture(suite, those, form.cost.value)));
  }

  const field = (text) => {
    const safe = /^[=+\-@]/.test(text) && Number.isNaN(Number(text)) ? "'" + text : text;
    return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  form.querySelector(".save").addEventListener("click", () => {
    const lines = [document.querySelector("#explore thead tr"), ...rows.filter((row) => !row.hidden)]
      .map((row) => [...row.cells].map((cell) => field(cell.dataset.value ?? cell.textContent.trim().replace(/\s+/g, " "))).join(","));
    const link = make("a", { download: "explore.csv" });
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
  form.addEventListener("change", write);
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    history.replaceState(null, "", location.pathname + location.search);
    read();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", read);
  addEventListener("resize", show);
  form.hidden = false;
  read();
})();
