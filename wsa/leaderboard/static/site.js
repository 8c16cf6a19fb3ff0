// Tables that sort, filter and remember their view in the page's address; the menu. Nothing else.
"use strict";
(() => {
  document.documentElement.classList.add("js");

  const address = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  const remember = (changes) => {
    const state = address();
    for (const [key, value] of Object.entries(changes)) {
      if (value) state.set(key, value); else state.delete(key);
    }
    const text = state.toString();
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
    for (const link of document.querySelectorAll("a.view-link")) link.href = location.href;
  };

  const value = (cell) => {
    const raw = cell.dataset.value ?? cell.textContent.trim();
    if (raw === "" || raw === "–") return null;
    const number = Number(raw);
    return Number.isNaN(number) ? raw.toLowerCase() : number;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  };

  function interactive(table) {
    const id = table.id;
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    const original = [...body.rows];
    const controls = document.querySelector(`.controls[data-for="${id}"]`);
    const count = document.querySelector(`.count[data-for="${id}"]`);
    const key = (name) => `${id}.${name}`;

    const place = (column) => heads.findIndex((head) => head.dataset.column === column);

    let sorted = ":descending"; // as the page was made
    function sort(name, direction) {
      if (sorted === `${name}:${direction}`) return;
      sorted = `${name}:${direction}`;
      const index = place(name);
      for (const head of heads) if (head.hasAttribute("aria-sort")) head.setAttribute("aria-sort", "none");
      let rows = original;
      if (index >= 0) {
        const sign = direction === "ascending" ? 1 : -1;
        heads[index].setAttribute("aria-sort", direction);
        rows = original.map((row, place) => ({ row, place, value: value(row.cells[index]) }))
          .sort((a, b) => {
            if (a.value === null || b.value === null) {
              return (a.value === null) - (b.value === null) || a.place - b.place;
            }
            return sign * compare(a.value, b.value) || a.place - b.place;
          })
          .map((entry) => entry.row);
      }
      body.append(...rows);
    }

    for (const head of heads) {
      if (!head.hasAttribute("aria-sort")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const first = head.dataset.first || "descending";
        const other = first === "descending" ? "ascending" : "descending";
        const next = now === "none" ? first : now === first ? other : "none";
        remember({ [key("sort")]: next === "none" ? "" : `${head.dataset.column}:${next}` });
        apply();
      });
    }

    // what a row is found by: its text, its method's id, and words that all rows of the table share
    const found = (row) => [
      row.dataset.find ?? row.textContent, row.dataset.method, row.dataset.family,
      row.cells[0].dataset.compare?.replace(/\.\w+$/, ""), table.dataset.words,
    ].join(" ").toLowerCase();

    // whether a row is as a menu wants it: by what it says of itself, else by its cell in that column
    function fits(row, { select, wanted }) {
      if (select.name in row.dataset) return row.dataset[select.name].split("\n").includes(wanted);
      const cell = row.cells[place(select.name)];
      if (cell) return cell.firstChild.textContent === select.querySelector(`[value="${CSS.escape(wanted)}"]`)?.textContent;
      return row.cells[place(wanted)]?.classList.contains("wrong") === (select.name === "wrong");
    }

    function filter(state) {
      const words = (state.get(key("find")) || "").toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = [...(controls?.querySelectorAll("select") ?? [])]
        .map((select) => ({ select, wanted: state.get(key(select.name)) || "" }))
        .filter((one) => one.wanted);
      let shown = 0;
      for (const row of original) {
        const text = words.length ? found(row) : "";
        const keep = words.every((word) => text.includes(word)) && chosen.every((one) => fits(row, one));
        row.hidden = !keep;
        shown += keep;
      }
      if (count) count.textContent = `${shown} of ${original.length} rows`;
    }

    function columns(state) {
      const hidden = new Set((state.get(key("hide")) ?? table.dataset.hide ?? "").split(","));
      heads.forEach((head, index) => {
        const hide = hidden.has(head.dataset.column);
        if (hide === head.hidden) return;
        head.hidden = hide;
        for (const row of original) row.cells[index].hidden = hide;
      });
      for (const box of controls?.querySelectorAll("input[type=checkbox]") ?? []) {
        box.checked = !hidden.has(box.value);
      }
    }

    function apply() {
      const state = address();
      const [name, direction] = (state.get(key("sort")) || ":").split(":");
      columns(state);
      sort(name, direction === "ascending" ? "ascending" : "descending");
      filter(state);
      for (const select of controls?.querySelectorAll("select") ?? []) {
        select.value = state.get(key(select.name)) || "";
      }
      const search = controls?.querySelector("input[type=search]");
      if (search && document.activeElement !== search) search.value = state.get(key("find")) || "";
    }

    // what is shown, as a file; text that a spreadsheet would compute begins with an apostrophe
    const field = (text) => {
      const words = text.replace(/\s+/g, " ").trim();
      const safe = /^[=+\-@]/.test(words) && Number.isNaN(Number(words)) ? "'" + words : words;
      return /[",]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    };
    controls?.querySelector("button.save")?.addEventListener("click", () => {
      const rows = [heads, ...[...body.rows].filter((row) => !row.hidden).map((row) => [...row.cells])];
      const texts = rows.map((cells) => cells.filter((cell) => !cell.hidden)
        .map((cell) => field(cell.dataset.csv ?? cell.textContent.replace(/[↕↑↓]/g, ""))).join(","));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([texts.join("\n") + "\n"], { type: "text/csv" }));
      link.download = `${id}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    const choose = (event) => {
      const input = event.target;
      if (input.type === "checkbox") {
        const boxes = [...controls.querySelectorAll("input[type=checkbox]")];
        const hidden = boxes.filter((box) => !box.checked).map((box) => box.value).join(",");
        remember({ [key("hide")]: hidden === (table.dataset.hide ?? "") ? "" : hidden || "none" });
      } else {
        remember({ [key(input.name)]: input.value });
      }
      apply();
    };
    controls?.addEventListener("input", choose);
    controls?.addEventListener("change", choose);
    controls?.querySelector("button.reset")?.addEventListener("click", () => {
      const mine = [...address().keys()].filter((name) => name.startsWith(`${id}.`));
      remember(Object.fromEntries(mine.map((name) => [name, ""])));
      const search = controls.querySelector("input[type=search]");
      if (search) search.value = "";
      apply();
    });
    const show = () => {
      apply();
      const mine = [...address().keys()].some((name) => name.startsWith(`${id}.`));
      if (mine) (controls ?? table).scrollIntoView();
    };
    addEventListener("hashchange", show);
    show();
  }

  for (const table of document.querySelectorAll("table.interactive:not([data-sentences])")) interactive(table);
  wsa.interactive = interactive; // for a table that is made later

  // what the address names is unfolded, in browsers that do not do it by themselves
  const unfold = () => {
    const folded = document.getElementById(location.hash.slice(1))?.closest("details");
    if (!folded || folded.open) return;
    folded.open = true;
    folded.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  unfold();

  // the suites, which the front page lists, as a menu on every page
  const menu = document.querySelector(".masthead a.suites");
  if (menu && wsa.suites) {
    const [folded, head, list] = ["details", "summary", "ul"].map((name) => document.createElement(name));
    folded.className = "menu";
    head.textContent = menu.textContent;
    for (const [name, title] of wsa.suites) {
      const link = document.createElement("a");
      link.href = new URL(`${encodeURIComponent(name)}/index.html`, menu.href);
      if (location.href.startsWith(new URL(".", link.href))) link.setAttribute("aria-current", "true");
      const item = document.createElement("li");
      item.append(wsa.say(link, title));
      list.append(item);
    }
    folded.append(head, list);
    menu.replaceWith(folded);
  }

  for (const link of document.querySelectorAll("a.view-link")) {
    link.href = location.href;
    link.addEventListener("click", (event) => {
      if (!navigator.clipboard) return;
      event.preventDefault();
      const words = link.textContent;
      navigator.clipboard.writeText(link.href).then(
        () => { link.textContent = "Address copied"; setTimeout(() => { link.textContent = words; }, 1500); },
        () => { link.textContent = "Copy the address bar"; },
      );
    });
  }
})();
