// Choices and figures of all trials side by side: an axis each, a line a trial. A range that is drawn on an axis singles
// out the trials within it, here, in the chart and in the table.

import { h, setText, show } from "./dom.js";
import { describeChoice } from "./metrics.js";
import { ParallelLines } from "./parallel_lines.js";
import { ParallelAxis } from "./parallel_axis.js";
import { exact } from "./format.js";

const COSTS = ["parameters"];

export class ParallelAxes {
  element = h("section", { class: "parallel", "aria-labelledby": "parallel-title" });
  #canvas = h("canvas", { class: "parallel-lines", "aria-hidden": "true" });
  #lines = new ParallelLines(this.#canvas);
  #row = h("div", { class: "parallel-axes", pointerenter: () => this.#prepare() });
  #note = h("p", { class: "parallel-note" });
  #axes = new Map();
  #view = null;
  #seen = false;
  #frame = null;

  /** `seen()` is called once somebody looks at it, `brushed(name, range or null, isDone)` with each range. */
  constructor(seen, brushed) {
    this.brushed = brushed;
    show(
      this.element,
      h("div", { class: "section-head" }, h("h2", { id: "parallel-title" }, "Choices and figures"), this.#note),
      h("div", { class: "parallel-scroll" }, h("div", { class: "parallel-place" }, this.#canvas, this.#row)),
    );
    const looking = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      looking.disconnect();
      this.#seen = true;
      seen();
      if (this.#view) this.draw(this.#view);
    });
    looking.observe(this.element);
    new ResizeObserver(() => this.#drawSoon()).observe(this.#row);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#drawSoon());
  }

  /** Draws {store, ranges, selection, members (a set of numbers), objectives, isBrushed (a range is being drawn)}. */
  draw(view) {
    this.#view = view;
    if (!this.#seen) return;
    const names = axesOf(view.store, view.objectives);
    if (names.join() !== [...this.#axes.keys()].join()) {
      this.#axes = new Map(names.map((name) => [name, this.#axisOf(name)]));
      this.#row.style.minWidth = `${names.length * 88}px`;
      show(this.#row, [...this.#axes.values()].map((axis) => axis.element));
    }
    for (const [name, axis] of this.#axes) {
      axis.draw({
        label: describeChoice(name, view.objectives).label,
        options: view.store.features.get(name)?.options ?? null,
        values: view.store.column(name),
        size: view.store.size,
        range: view.ranges[name] ?? null,
      });
    }
    this.#drawLines();
  }

  #axisOf(name) {
    return new ParallelAxis((range, isDone) => this.brushed(name, range, isDone));
  }

  #drawSoon() {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      if (this.#view) this.#drawLines();
    });
  }

  // Who comes near with the pointer may draw a range
  #prepare() {
    if (this.#view && this.#axes.size) this.#lines.prepare([...this.#axes.values()], this.#view);
  }

  #drawLines() {
    if (!this.#axes.size) return;
    const drawn = this.#lines.draw([...this.#axes.values()], this.#view);
    setText(this.#note, drawn.of > drawn.lines ? `${exact(drawn.lines)} of ${exact(drawn.of)} lines are drawn.` : "");
  }
}

// Objectives first, so that the lines end where the questions begin; of a choice that never differs there is no axis
function axesOf(store, objectives) {
  const figures = [...new Set([...objectives.map((o) => o.name), ...COSTS])].filter((name) => store.metrics.has(name));
  return [...store.features.keys(), ...figures.reverse()];
}
