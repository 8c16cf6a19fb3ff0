// What a page loads when a reader asks for it. It lies compressed in scripts, because from a disk a
// page can load nothing else. Nothing else.
"use strict";
const wsa = (() => {
  const arrived = new Map(); // address → what the script there carried
  const loading = new Map(); // address → a promise of its content

  // called by the scripts that carry something
  const carry = (packed) => arrived.set(document.currentScript.src, packed);

  async function unpacked(packed) {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  function load(address) {
    const url = new URL(address, document.baseURI).href;
    if (!loading.has(url)) {
      loading.set(url, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = url;
        script.onload = () => resolve(arrived.get(url));
        script.onerror = () => reject(new Error(`${url} cannot be read`));
        document.head.append(script);
      }).then(unpacked));
    }
    return loading.get(url);
  }

  // text that cannot turn the direction of what stands beside it
  const TURNING = /[\u0590-\u08ff\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc]/;
  function say(element, text) {
    const place = TURNING.test(text) ? element.appendChild(document.createElement("bdi")) : element;
    place.append(text);
    return element;
  }

  // a record of a run, out of the archive that its link leads to
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-record]");
    if (!link || event.defaultPrevented || !("DecompressionStream" in window)) return;
    event.preventDefault();
    load(new URL("records.js", link.href)).then(
      (records) => {
        const record = new Blob([records[link.dataset.record]], { type: "application/json" });
        location.href = URL.createObjectURL(record);
      },
      () => { location.href = link.href; },
    );
  });

  return { carry, load, say };
})();
