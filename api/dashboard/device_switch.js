// For which device the trials are ranked, and whose front is shown beside it.

import { h, show } from "./dom.js";
import { deviceOf } from "./metrics.js";

export class DeviceSwitch {
  element = h("span", { class: "device-switch", hidden: true });
  #key = "";
  #axes = null;

  /** `changed(patch)` is told of other axes, or whose front to show beside. */
  constructor(changed) {
    this.device = h("select", { "aria-label": "Device", change: () => changed(this.#patch()) });
    this.beside = h("select", {
      "aria-label": "Compare with",
      change: () => changed({ beside: this.beside.value || null }),
    });
    this.besideLabel = label("compare with", this.beside);
    show(this.element, label("Device", this.device), this.besideLabel);
  }

  /** Draws {devices (as the server lists them), x, y (metrics), beside (a name or null), byDefault (axes)}. */
  draw({ devices, x, y, beside, byDefault }) {
    this.element.hidden = !devices.length || (devices.length === 1 && devices[0].recorded);
    this.#axes = { x: x.name, y: y.name, byDefault };
    const shown = deviceOf(x.name) ?? deviceOf(y.name) ?? "";
    const key = JSON.stringify([devices, shown]);
    if (key !== this.#key) {
      this.#key = key;
      show(this.device, !shown && option("", "none", { disabled: true }), optionsOf(devices));
      show(this.beside, option("", "nothing"), optionsOf(devices.filter(({ name }) => name !== shown)));
    }
    this.device.value = shown;
    this.besideLabel.hidden = !shown;
    this.beside.value = beside ?? "";
  }

  // The latency takes the place of the one that is shown, else that of the cost
  #patch() {
    const name = `latency_ms@${this.device.value}`;
    const { byDefault } = this.#axes;
    const [x, y] = deviceOf(this.#axes.y) ? [this.#axes.x, name] : [name, this.#axes.y];
    const beside = this.beside.value === this.device.value ? null : this.beside.value || null;
    return x === byDefault.x && y === byDefault.y ? { x: null, y: null, beside } : { x, y, beside };
  }
}

function optionsOf(devices) {
  const [own, others] = [true, false].map((recorded) => devices.filter((device) => device.recorded === recorded));
  const one = ({ name, reason }) =>
    option(name, reason ? `${name}: ${reason.split(": ")[0]}` : name, { disabled: Boolean(reason), title: reason });
  return [
    own.length && h("optgroup", { label: "The job’s" }, own.map(one)),
    others.length && h("optgroup", { label: "Predicted, without new trials" }, others.map(one)),
  ].filter(Boolean);
}

function option(value, text, more) {
  return h("option", { value, ...more }, text);
}

function label(text, select) {
  return h("label", { class: "axis" }, text, select);
}
