// The sentences of a suite, put together from what every run says of them. Nothing else.
"use strict";
(() => {
  const cell = (row, text, name = "", number = false) => {
    const made = row.insertCell();
    made.className = name;
    if (number) made.dataset.value = number;
    return wsa.say(made, text);
  };
  const sentence = (row, text) => {
    const head = row.appendChild(document.createElement("th"));
    head.scope = "row";
    head.className = "long";
    wsa.say(head, text);
  };
  const written = (value) => value.toFixed(3).replace(/^-(0\.000)$/, "$1").replace("-", "−");
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

  // what was said of which sentences; their ids stand for texts that are not known
  async function read(address) {
    const said = await wsa.load(address);
    const { ids, is, texts } = await wsa.load(new URL(said.sentences, new URL(address, document.baseURI)));
    const methods = said.methods.map((method) => {
      const [names, seeds] = [Object.keys(method.seeds), Object.values(method.seeds)];
      if (!said.labels) return { ...method, names, seeds };
      const right = new Array(ids.length).fill(seeds.length);
      const runs = seeds.map((run) => {
        let last = 0;
        const at = run.gaps.map((gap) => (last += gap));
        for (const i of at) right[i] -= 1;
        return { ...run, at };
      });
      return { ...method, names, seeds: runs, right, mostly: right.map((k) => 2 * k > seeds.length) };
    });
    const compared = methods.filter((method) => method.compared);
    return { labels: said.labels, ids, is, methods, compared, text: (i) => texts?.[i] ?? ids[i] };
  }

  // every sentence that not every run gets right, the hardest first
  function ofClasses(said, { most, compared }, body) {
    const share = said.ids.map((_, i) => mean(compared.map((m) => m.right[i] / m.seeds.length)));
    const order = said.ids.map((_, i) => i).sort((a, b) => share[a] - share[b] || a - b)
      .filter((i) => compared.some((m) => m.right[i] < m.seeds.length));
    const apart = (i) => new Set(compared.map((m) => m.mostly[i])).size > 1;
    const kept = new Set([...order.filter(apart), ...order.filter((i) => !apart(i))].slice(0, most));
    for (const i of order.filter((one) => kept.has(one))) {
      const row = body.insertRow();
      sentence(row, said.text(i));
      cell(row, said.labels[said.is[i]]);
      for (const method of compared) cell(row, String(method.right[i]), method.mostly[i] ? "" : "wrong");
    }
  }

  // the numbers that methods say, where these lie furthest apart first
  function ofNumbers(said, { most, compared }, body) {
    const methods = compared.map(({ seeds }) => ({
      said: said.ids.map((_, i) => mean(seeds.map((one) => one.said[i]))),
      error: said.ids.map((_, i) => mean(seeds.map((one) => (one.said[i] - said.is[i]) ** 2))),
    }));
    const apart = said.ids.map((_, i) => {
      const all = methods.map((method) => method.said[i]);
      return Math.max(...all) - Math.min(...all);
    });
    for (const i of said.ids.map((_, i) => i).sort((a, b) => apart[b] - apart[a] || a - b).slice(0, most)) {
      const row = body.insertRow();
      const least = Math.min(...methods.map((method) => method.error[i]));
      sentence(row, said.text(i));
      cell(row, written(said.is[i]), "number", said.is[i]);
      for (const one of methods) {
        cell(row, written(one.said[i]), one.error[i] === least ? "number right" : "number", one.said[i]);
      }
    }
  }

  // the sentences that one run gets wrong and other methods right; of numbers, the furthest off
  function ofRun(said, method, seed, body) {
    const own = said.methods.find((one) => one.name === method);
    const run = own.seeds[own.names.indexOf(seed)];
    if (!said.labels) {
      const off = run.said.map((value, i) => value - said.is[i]);
      for (const i of off.map((_, i) => i).sort((a, b) => Math.abs(off[b]) - Math.abs(off[a]) || a - b)) {
        const row = body.insertRow();
        sentence(row, said.text(i));
        for (const value of [said.is[i], run.said[i]]) cell(row, written(value), "number");
        cell(row, (off[i] > 0 ? "+" : "") + written(off[i]), "number");
      }
      return;
    }
    const others = said.compared.filter((one) => one !== own);
    const found = run.at.map((i, place) => ({
      i, said: run.said?.[place], sure: run.sure[place],
      right: others.filter((one) => one.mostly[i]).map((one) => one.name),
    })).filter((one) => one.right.length).sort((a, b) => b.right.length - a.right.length || a.i - b.i);
    for (const one of found) {
      const row = body.insertRow();
      sentence(row, said.text(one.i));
      cell(row, said.labels[said.is[one.i]]);
      if (said.labels.length > 2) cell(row, said.labels[one.said]);
      cell(row, String(one.sure), "number");
      cell(row, one.right.join(", "));
    }
  }

  async function fill(table, make) {
    const body = document.createElement("tbody");
    make(await read(table.dataset.sentences), body);
    table.append(body);
  }
  const unread = (place) => (error) => { place.append(`The sentences could not be read: ${error.message}.`); };

  const compared = document.getElementById("sentences");
  if (compared) {
    const words = document.querySelector("[data-instead-of=sentences]");
    const columns = compared.tHead.rows[0].cells.length - 2;
    fill(compared, (said, body) => {
      const which = { most: +compared.dataset.most, compared: said.compared.slice(0, columns) };
      (said.labels ? ofClasses : ofNumbers)(said, which, body);
    }).then(() => {
      words.hidden = true;
      compared.closest(".scroll").hidden = false;
      wsa.interactive(compared);
    }).catch(unread(words));
  }

  const blank = document.getElementById("sentences-of-a-run");
  for (const folded of document.querySelectorAll("details[data-run]")) {
    folded.addEventListener("toggle", () => {
      if (!folded.open || folded.children.length > 1) return;
      const box = blank.content.firstElementChild.cloneNode(true);
      folded.append(box);
      const { method, run } = folded.dataset;
      fill(box.querySelector("table"), (said, body) => ofRun(said, method, run, body)).catch(unread(folded));
    });
  }
})();
