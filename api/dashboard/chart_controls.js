// What the chart shows: its axes, their scales, which trials. Every change goes through the address.

import { DeviceSwitch } from "./device_switch.js";
import { h, show } from "./dom.js";
import { describeMetric } from "./metrics.js";

/** Returns [x, y] as names: those of the view where they are known, else what is paid (last objective) and bought. */
export function axesOf(view, job, names) {
  const objectives = job.objectives.map((o) => o.name);
  const known = (name) => (names.includes(name) ? name : null);
  const y = known(view.y) ?? (view.x === objectives[0] ? objectives.at(-1) : objectives[0]);
  const x = known(view.x) ?? (y === objectives.at(-1) ? objectives[0] : objectives.at(-1));
  return x === y ? [names.find((name) => name !== y), y] : [x, y];
}

export class ChartControls {
  element = h("div", { class: "controls" });
  #names = "";

  /** `changed(patch)` is told what the person chose, `save(format)` that the chart is to be kept as a picture. */
  constructor(changed, chart, save) {
    this.y = h("select", { change: () => changed(this.#axisPatch("y")) });
    this.x = h("select", { change: () => changed(this.#axisPatch("x")) });
    this.logX = check("log x", () => changed({ log: this.#log() }));
    this.logY = check("log y", () => changed({ log: this.#log() }));
    this.feasible = check("feasible only", () => changed({ feasible: this.feasible.input.checked }));
    this.drag = dragMode((drag) => changed({ drag }, { replace: true }));
    this.devices = new DeviceSwitch((patch) => changed(patch));
    this.buttons = h(
      "span",
      { class: "chart-buttons" },
      h("button", { type: "button", class: "quiet", click: () => chart.resetZoom() }, "Reset zoom"),
      h("button", { type: "button", class: "quiet", click: () => save("svg") }, "Save SVG"),
      h("button", { type: "button", class: "quiet", click: () => save("png") }, "Save PNG"),
    );
    show(
      this.element,
      axis("Y", this.y),
      axis("X", this.x),
      this.logY.element,
      this.logX.element,
      this.feasible.element,
      this.devices.element,
      this.drag.element,
    );
  }

  draw({ names, x, y, job, view, devices }) {
    const key = names.join();
    if (key !== this.#names) {
      this.#names = key;
      for (const select of [this.x, this.y]) {
        show(
          select,
          names.map((name) => h("option", { value: name }, describeMetric(name, job.objectives).label)),
        );
      }
    }
    [this.defaultY, this.defaultX] = [job.objectives[0].name, job.objectives.at(-1).name];
    [this.shownX, this.shownY] = [x.name, y.name];
    const byDefault = { x: this.defaultX, y: this.defaultY };
    this.devices.draw({ devices, x, y, beside: view.beside, byDefault });
    this.x.value = x.name;
    this.y.value = y.name;
    this.logX.input.checked = view.log.includes("x");
    this.logY.input.checked = view.log.includes("y");
    this.feasible.input.checked = view.feasible;
    this.drag.input.value = view.drag;
  }

  // Choosing for one axis what the other shows swaps the two
  #axisPatch(axis) {
    let [x, y] = [this.x.value, this.y.value];
    if (x === y) [x, y] = axis === "x" ? [x, this.shownX] : [this.shownY, y];
    // A limit on one cost says nothing of another one
    return { deadline: null, ...(x === this.defaultX && y === this.defaultY ? { x: null, y: null } : { x, y }) };
  }

  #log() {
    return (this.logX.input.checked ? "x" : "") + (this.logY.input.checked ? "y" : "");
  }
}

function axis(letter, select) {
  return h(
    "label",
    { class: "axis" },
    h("span", {}, letter, h("span", { class: "visually-hidden" }, " axis")),
    select,
  );
}

// On a touch screen a swipe scrolls the page, and nothing is drawn around points
function dragMode(changed) {
  const input = h(
    "select",
    { "aria-label": "Dragging in the chart", change: () => changed(input.value) },
    Object.entries({ zoom: "zooms", select: "selects a box", lasso: "selects with a lasso" }).map(([value, text]) =>
      h("option", { value }, text),
    ),
  );
  return { input, element: h("label", { class: "axis drag-mode" }, "Drag", input) };
}

function check(label, changed) {
  const input = h("input", { type: "checkbox", change: changed });
  return { input, element: h("label", { class: "check" }, input, label) };
}
