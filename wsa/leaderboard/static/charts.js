// Pictures: one cost at a time, and the numbers of a mark for whoever points at it. Nothing else.
"use strict";
(() => {
  // the hash holds one view of the page, shared with the tables
  const address = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");

  function choose(heading) {
    const figures = [...(heading.parentElement.querySelectorAll("#pictures-costs ~ .side-by-side")[0]?.children ?? [])];
    if (figures.length < 2) return;
    const title = (figure) => figure.querySelector("figcaption > :first-child").textContent;
    const group = document.createElement("div");
    group.className = "choice";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "Cost");
    const show = () => {
      const wanted = address().get("cost");
      const chosen = figures.find((figure) => figure.id === wanted) ?? figures[0];
      for (const figure of figures) figure.hidden = figure !== chosen;
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", figures[i] === chosen));
    };
    const buttons = figures.map((figure) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = title(figure);
      button.addEventListener("click", () => {
        const state = address();
        state.set("cost", figure.id);
        history.replaceState(null, "", "#" + state);
        show();
      });
      return button;
    });
    group.append(...buttons);
    figures[0].parentElement.before(group);
    addEventListener("hashchange", () => {
      const target = figures.find((figure) => "#" + figure.id === location.hash);
      if (target) { // a link to a picture that is not the chosen one
        history.replaceState(null, "", "#cost=" + encodeURIComponent(target.id));
        target.hidden = false;
      }
      show();
      target?.scrollIntoView();
    });
    show();
  }
  const costs = document.getElementById("pictures-costs");
  if (costs) choose(costs);

  // what a mark stands for, beside the pointer: its rows of the table behind the picture
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const words = (group) => {
    if (group.dataset.tip) return group.dataset.tip;
    const table = group.closest("figure").querySelector("table");
    const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    return group.dataset.row.split(" ").map((index) => {
      const cells = [...table.tBodies[0].rows[index].cells].map((cell) => cell.textContent.trim());
      return cells.map((cell, i) => (!cell || cell === "–" ? "" : i && heads[i] ? `${heads[i]}: ${cell}` : cell))
        .filter(Boolean).join("\n");
    }).join("\n\n");
  };
  const follow = (event) => {
    const group = event.target.closest?.("figure svg g[data-row], figure svg g[data-tip]");
    tip.hidden = !group;
    if (!group) return;
    tip.textContent = words(group);
    const room = document.documentElement;
    const x = Math.min(event.clientX + 14, room.clientWidth - tip.offsetWidth - 8);
    const y = event.clientY + 18 + tip.offsetHeight > room.clientHeight
      ? event.clientY - tip.offsetHeight - 12 : event.clientY + 18;
    tip.style.left = Math.max(4, x) + "px";
    tip.style.top = y + "px";
  };
  document.addEventListener("pointermove", follow);
  document.addEventListener("pointerdown", follow);
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
})();
