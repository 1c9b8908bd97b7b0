// What is singled out, in words, and the way back to all.

import { h, show } from "./dom.js";
import { exact, significant } from "./format.js";
import { describeChoice } from "./metrics.js";

export class SelectionBar {
  element = h("div", { class: "selection-bar", hidden: true });
  #count = h("p", { class: "selection-count", role: "status" });
  #ranges = h("ul", { class: "selection-ranges" });
  #key = "";

  /** `dropped(name)` is told of a range that is to go (null: the shape), `cleared()` that all are. */
  constructor(dropped, cleared) {
    this.dropped = dropped;
    this.clear = h("button", { type: "button", class: "quiet", click: cleared }, "Clear the selection");
    show(this.element, this.#count, this.#ranges, this.clear);
  }

  /** Draws {selection ({count, total} or null), ranges, shape, store, objectives}. */
  draw({ selection, ranges, shape, store, objectives }) {
    this.element.hidden = !selection;
    const text = selection ? `${exact(selection.count)} of ${exact(selection.total)} trials` : "";
    if (this.#count.textContent !== text) this.#count.textContent = text;
    const key = JSON.stringify([ranges, Boolean(shape), store.features.size]);
    if (key === this.#key) return;
    this.#key = key;
    const parts = Object.entries(ranges).map(([name, ends]) => [name, wordsOf(name, ends, store, objectives)]);
    if (shape) parts.push([null, "within the lasso"]);
    show(
      this.#ranges,
      parts.map(([name, words]) =>
        h(
          "li",
          {},
          words,
          h("button", { type: "button", "aria-label": `Drop: ${words}`, click: () => this.dropped(name) }, "×"),
        ),
      ),
    );
  }
}

function wordsOf(name, [low, high], store, objectives) {
  const { label } = describeChoice(name, objectives);
  const options = store.features.get(name)?.options;
  const [from, to] = options
    ? [options[Math.max(0, Math.ceil(low))], options[Math.min(options.length - 1, Math.floor(high))]]
    : [significant(low, 4), significant(high, 4)];
  return from === to ? `${label} ${from}` : `${label} ${from} to ${to}`;
}
