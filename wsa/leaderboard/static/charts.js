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

  // the words of a mark, beside the pointer; they are the mark's <title>, and stand in the table
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const words = new WeakMap();
  const marked = (target) => {
    const group = target.closest?.("figure svg g");
    if (!group) return null;
    const title = group.querySelector(":scope > title");
    if (title) { // else the browser would say it a second time
      words.set(group, title.textContent);
      title.remove();
    }
    return words.has(group) ? group : null;
  };
  const follow = (event) => {
    const group = marked(event.target);
    tip.hidden = !group;
    if (!group) return;
    tip.textContent = words.get(group);
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
