// One axis of the parallel ones: its name, its ends as fields, and the range that is drawn on it.

import { h, setText, show } from "./dom.js";
import { si, significant } from "./format.js";

const CLICK_PX = 4; // a movement that is shorter is a click

export class ParallelAxis {
  element = h("div", { class: "parallel-axis", role: "group" });
  #label = h("span", { class: "parallel-label" });
  #brush = h("div", { class: "parallel-brush", hidden: true });
  #options = null;
  #range = null;
  #key = null;
  ends = [0, 1];

  /** `brushed(range or null, isDone)` is told of each step, `isDone` of the last. */
  constructor(brushed) {
    this.brushed = brushed;
    this.track = h("div", { class: "parallel-track", pointerdown: (event) => this.#drag(event) }, this.#brush);
    this.high = h("span", { class: "parallel-end" });
    this.low = h("span", { class: "parallel-end" });
    show(this.element, this.#label, this.high, this.track, this.low);
  }

  /** Draws {label, options (null for a number), values, size, range ([low, high] or null)}. */
  draw({ label, options, values, size, range }) {
    this.values = values;
    this.#range = range;
    setText(this.#label, label);
    this.element.setAttribute("aria-label", label);
    const key = JSON.stringify([options, size, label]);
    if (key !== this.#key) {
      this.#key = key;
      this.#options = options;
      this.ends = options ? [-0.5, options.length - 0.5] : endsOf(values);
      show(this.low, this.#field("from"));
      show(this.high, this.#field("to"));
    }
    const [low, high] = range ?? this.ends;
    this.#write(this.low, low, options ? Math.max(0, Math.ceil(low)) : low);
    this.#write(this.high, high, options ? Math.min(options.length - 1, Math.floor(high)) : high);
    this.#brush.hidden = !range;
    if (!range) return;
    const [top, bottom] = [1 - this.share(high), 1 - this.share(low)].map((at) => Math.min(1, Math.max(0, at)));
    this.#brush.style.top = `${100 * top}%`;
    this.#brush.style.height = `${Math.max(1.5, 100 * (bottom - top))}%`;
  }

  /** Where a value stands on the axis, 0 at the bottom to 1 at the top. */
  share(value) {
    const [low, high] = this.ends;
    return high > low ? (value - low) / (high - low) : 0.5;
  }

  #field(which) {
    const change = () => this.#typed();
    const name = { "aria-label": `${this.#label.textContent}, ${which}`, change };
    if (!this.#options) return h("input", { type: "text", inputmode: "decimal", autocomplete: "off", ...name });
    return h("select", name, this.#options.map((option, i) => h("option", { value: i }, option)));
  }

  #write({ firstChild: field }, value, index) {
    if (document.activeElement === field && !this.#options) return;
    field.value = this.#options ? String(index) : written(value);
  }

  #typed() {
    const [low, high] = [this.low, this.high].map(({ firstChild }) => parsed(firstChild.value));
    if (!(Number.isFinite(low) && Number.isFinite(high))) return this.brushed(this.#range, true);
    const margin = this.#options ? 0.5 : 0;
    const range = [Math.min(low, high) - margin, Math.max(low, high) + margin];
    // The ends are shown with four digits: what still says them asks for nothing
    const whole = this.ends.map(written);
    const all = this.#options ? range[0] <= this.ends[0] && range[1] >= this.ends[1] : false;
    const same = !this.#options && range.every((end, i) => written(end) === whole[i]);
    this.brushed(all || same ? null : this.#exactly(range), true);
  }

  // An end that was not touched stays where the values end, beyond the digits that are shown
  #exactly(range) {
    return range.map((end, i) => (written(end) === written(this.ends[i]) ? this.ends[i] : end));
  }

  #drag(event) {
    event.preventDefault();
    const { top, height } = this.track.getBoundingClientRect();
    const [low, high] = this.ends;
    const at = (y) => low + (high - low) * Math.min(1, Math.max(0, 1 - (y - top) / height));
    const from = event.clientY;
    const rangeTo = (y) => [Math.min(at(from), at(y)), Math.max(at(from), at(y))];
    const move = (next) => {
      if (Math.abs(next.clientY - from) >= CLICK_PX) this.brushed(rangeTo(next.clientY), false);
    };
    const stop = (last) => {
      this.track.removeEventListener("pointermove", move);
      this.brushed(Math.abs(last.clientY - from) < CLICK_PX ? null : rangeTo(last.clientY), true);
    };
    this.track.setPointerCapture(event.pointerId);
    this.track.addEventListener("pointermove", move);
    this.track.addEventListener("pointerup", stop, { once: true });
  }
}

// "267.5 M": the fields are narrow
function written(value) {
  return Math.abs(value) >= 1e5 ? si(value, 4) : significant(value, 4);
}

function parsed(text) {
  const match = /^(-?[\d.]+(?:e[+-]?\d+)?)\s*([kMGT]?)$/i.exec(text.replaceAll(",", "").replace("−", "-").trim());
  const factors = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };
  return match ? Number(match[1]) * factors[match[2].toLowerCase()] : NaN;
}

function endsOf(values = []) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low > high ? [0, 1] : [low, high];
}
