// Two rows of a leaderboard, chosen and put side by side. Nothing else.
"use strict";
(() => {
  const element = (name, text = "", attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  // on a leaderboard: a box a row, and a link once two of one suite are chosen
  const rows = [...document.querySelectorAll("th[data-compare]")];
  if (rows.length > 1) {
    const bar = element("p", "", { class: "compare-bar", role: "status" });
    document.body.append(bar);
    let chosen = [];
    const show = () => {
      for (const row of rows) row.querySelector("input.compare").checked = chosen.includes(row);
      bar.replaceChildren();
      bar.hidden = !chosen.length;
      const [a, b] = chosen;
      const name = (row) => {
        const state = row.nextElementSibling.textContent.trim();
        return row.querySelector("a").textContent.trim() + (state === "–" ? "" : `, ${state}`);
      };
      if (!b) {
        bar.append(`${a ? name(a) : ""}: choose a second row to compare it with.`);
        return;
      }
      const query = new URLSearchParams({ a: a.dataset.compare, b: b.dataset.compare });
      bar.append(element("a", `Compare ${name(a)} with ${name(b)}`, { href: `${a.dataset.page}?${query}` }));
    };
    for (const row of rows) {
      const label = element("label", "", { class: "compare" });
      const state = row.dataset.compare.split(".").pop();
      const box = element("input", "", {
        type: "checkbox", class: "compare",
        "aria-label": `Compare ${row.querySelector("a").textContent.trim()}, ${state}`,
      });
      box.addEventListener("change", () => {
        chosen = chosen.filter((other) => other !== row);
        if (box.checked) { // of one suite, and the last two
          chosen = [...chosen.filter((other) => other.dataset.page === row.dataset.page), row].slice(-2);
        }
        show();
      });
      label.append(box);
      row.prepend(label);
    }
    bar.hidden = true;
  }

  // on the page of a suite's sentences: each count leads to the sentences it counts
  const counts = document.querySelector("table[data-methods]");
  const names = counts?.dataset.methods.split(" ") ?? [];
  names.forEach((right, i) => names.forEach((wrong, j) => {
    const cell = counts.tBodies[0].rows[i].cells[j + 1];
    if (i === j) return;
    const view = new URLSearchParams({ "sentences.right": right, "sentences.wrong": wrong });
    cell.replaceChildren(element("a", cell.textContent, { href: `#${view}` }));
  }));

  // and the pair that the address names
  const section = document.getElementById("pair");
  const query = new URLSearchParams(location.search);
  const [a, b] = [query.get("a"), query.get("b")];
  if (section && a && b) wsa.load(section.dataset.pairs).then(sideBySide);

  function sideBySide({ heads, unit, places, greater, rows: known, pairs, command }) {
    if (!known[a] || !known[b]) return;
    const number = (value) => value.toFixed(places).replace(/^-(0(\.0*)?)$/, "$1").replace("-", "−");
    const signed = (value) => (value > 0 ? "+" : "") + number(value);
    const method = (key) => key.slice(0, key.lastIndexOf("."));
    const [one, two] = [known[a], known[b]];
    section.append(element("h2", `${one[0]} and ${two[0]}`));

    const found = pairs.find(([x, y]) => (x === a && y === b) || (x === b && y === a));
    if (found) {
      const turn = found[0] === a ? 1 : -1;
      const difference = turn * found[2];
      const ends = found[3]?.map((end) => turn * end).sort((x, y) => x - y);
      const clear = ends && (ends[0] > 0 || ends[1] < 0);
      const better = greater ? difference > 0 : difference < 0;
      section.append(element("p", `${one[0]} minus ${two[0]}: ${signed(difference)} ${unit}`
        + (ends ? ` (95 % interval ${signed(ends[0])} to ${signed(ends[1])}, n = ${found[4]} seeds)` : ", one seed: no interval")
        + ". " + (!clear ? "The interval holds zero: which is better is not told."
          : `${better ? "The first" : "The second"} is better.`)
        + " This pair by itself: not corrected for asking several questions at once.", { class: "lede" }));
    } else section.append(element("p", "They have no seeds in common: no difference is known."));

    const scroll = element("div", "", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Two methods" });
    const table = scroll.appendChild(element("table"));
    const head = table.createTHead().insertRow();
    head.append(element("td"));
    for (const [title, page] of [one, two]) {
      const cell = head.appendChild(element("th", "", { scope: "col", class: "number" }));
      cell.append(element("a", title, { href: page }));
    }
    const body = table.createTBody();
    heads.forEach((words, i) => {
      const row = body.insertRow();
      row.append(element("th", words, { scope: "row" }));
      for (const values of [one, two]) row.append(element("td", values[i + 3], { class: "number" }));
    });
    section.append(scroll);

    const [x, y] = [method(a), method(b)];
    const select = document.querySelector('select[name="right"]');
    if (select && x !== y) {
      const list = element("ul");
      for (const [right, wrong, words] of [[x, y, [one, two]], [y, x, [two, one]]]) {
        const link = counts.tBodies[0].rows[names.indexOf(right)]?.cells[names.indexOf(wrong) + 1]?.firstElementChild;
        if (!link) continue;
        const item = list.appendChild(element("li"));
        item.append(element("a", `${link.textContent} sentences`, { href: link.getAttribute("href") }),
          ` are right with ${words[0][0]} and wrong with ${words[1][0]}, each in its headline state.`);
      }
      section.append(list);
    }
    if (x !== y) {
      const words = element("p", "Their words, on a machine that has the data: ");
      words.append(element("code", command.replace("METHOD_A", x).replace("METHOD_B", y)));
      section.append(words);
    }
    section.hidden = false;
  }
})();
