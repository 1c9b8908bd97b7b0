// The limit on the chart, above the points: what lies beyond it shaded, its edge named, the pick ringed. Elements of the
// page and not of the chart, so that dragging moves them at once however many points there are.

import { h, setText } from "./dom.js";

export class DeadlineMarks {
  #shade = h("div", { class: "deadline-shade", hidden: true });
  #label = h("div", { class: "deadline-label" });
  #pick = h("div", { class: "deadline-pick", hidden: true });
  elements = [this.#shade, this.#pick];

  constructor() {
    this.#shade.append(this.#label);
  }

  /**
   * Draws {axis ("x" or "y"), limit, text, pick ({x, y} or null)} on a chart of this `frame` (see FrontChart.frame);
   * without a frame, or with a limit of null, nothing is shaded.
   */
  draw({ axis, limit, text, pick }, frame) {
    this.#shade.hidden = !frame || limit === null;
    this.#pick.hidden = true;
    if (!frame) return;
    const { x, y } = frame;
    if (limit !== null) {
      const at = between(frame[axis].place(limit), frame[axis]);
      const box =
        axis === "x"
          ? [at, y.offset, x.offset + x.length - at, y.length]
          : [x.offset, y.offset, x.length, at - y.offset];
      this.#shade.dataset.axis = axis;
      this.#shade.dataset.side = axis === "x" && at > x.offset + x.length / 2 ? "before" : "after";
      place(this.#shade, ...box);
      setText(this.#label, text);
    }
    if (!pick) return;
    const [left, top] = [x.place(pick.x), y.place(pick.y)];
    this.#pick.hidden = !(inside(left, x) && inside(top, y));
    place(this.#pick, left, top);
  }
}

function between(at, { offset, length }) {
  return Number.isFinite(at) ? Math.min(offset + length, Math.max(offset, at)) : offset;
}

function inside(at, { offset, length }) {
  return at >= offset - 1 && at <= offset + length + 1;
}

function place(element, left, top, width, height) {
  element.style.transform = `translate(${left}px, ${top}px)`;
  if (width === undefined) return;
  element.style.width = `${Math.max(0, width)}px`;
  element.style.height = `${Math.max(0, height)}px`;
}
