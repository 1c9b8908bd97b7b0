// The devices of a new job, and the lengths that they were measured at.

import { h, show } from "./dom.js";
import { command, showProblems } from "./form_fields.js";
import { count } from "./format.js";
import { readWorkload } from "./job_defaults.js";
import { setDevices, setObjective } from "./job_draft.js";

export class DeviceChoices {
  #known;
  #draft;
  #list = h("ul", { class: "device-choices" });
  #problem = h("div", { class: "field-problem" });
  #lengths = h("p", { class: "field-hint measured-lengths" });

  /** `changed()` is called after each choice, `refill()` when the lengths are others. */
  constructor(known, draft, changed, refill) {
    this.#known = known;
    this.#draft = draft;
    this.changed = changed;
    this.refill = refill;
    this.element = h(
      "div",
      {},
      this.#lengths,
      h("fieldset", { class: "devices" }, h("legend", {}, "Devices"), this.#list, this.#problem),
    );
  }

  /** Draws what the draft has of both now. */
  draw() {
    this.#drawDevices();
    this.#drawLengths();
  }

  /** Takes in the problems of devices[i]; returns the others. */
  problems(errors) {
    const own = errors.filter((error) => /^devices\b/.test(error.field));
    showProblems(this.#problem, null, own);
    return errors.filter((error) => !own.includes(error));
  }

  #drawDevices() {
    const chosen = this.#draft.devices ?? [];
    const key = JSON.stringify(chosen);
    if (this.#list.dataset.shown === key) return;
    this.#list.dataset.shown = key;
    const focused = this.#list.contains(document.activeElement) && document.activeElement.value;
    const names = [...new Set([...this.#known.map((one) => one.name), ...chosen])];
    show(this.#list, names.length ? names.map((name) => this.#device(name, chosen)) : noDevices());
    if (focused) this.#list.querySelector(`input[value="${CSS.escape(focused)}"]`)?.focus();
  }

  #device(name, chosen) {
    const device = this.#known.find((one) => one.name === name);
    const box = h("input", { type: "checkbox", value: name });
    box.checked = chosen.includes(name);
    box.addEventListener("change", () => {
      setDevices(this.#draft, box.checked ? [...chosen, name] : chosen.filter((other) => other !== name));
      const latency = `latency_ms@${name}`;
      if (box.checked && this.#draft.objectives.length < 2) setObjective(this.#draft, latency, true);
      this.changed();
    });
    const about = device
      ? [device.hardware, device.runtime, device.precision, count(device.threads, "thread")].join(" · ")
      : "not known here";
    return h("li", {}, h("label", {}, box, h("strong", {}, name), h("span", { class: "device-about" }, about)));
  }

  /** Offers the lengths that a chosen device was measured at. */
  #drawLengths() {
    const chosen = this.#draft.devices ?? [];
    const tables = this.#known.filter((one) => chosen.includes(one.name)).flatMap((one) => one.tables);
    const keys = [...new Set(tables.filter((t) => t.space === this.#draft.search_space).map((t) => t.workload))];
    const shown = JSON.stringify([keys, this.#draft.workload]);
    if (this.#lengths.dataset.shown === shown) return;
    this.#lengths.dataset.shown = shown;
    const same = (w) =>
      ["batch", "input_length", "output_length"].every((n) => (w[n] || 0) === lengthOf(this.#draft, n));
    const buttons = keys
      .map(readWorkload)
      .filter((workload) => !same(workload))
      .map((workload) =>
        h("button", { type: "button", class: "link", click: () => this.#useLengths(workload) }, words(workload)),
      );
    show(this.#lengths, buttons.length ? ["Measured on the chosen device: ", buttons] : null);
  }

  #useLengths(workload) {
    this.#draft.workload = { ...workload };
    this.refill();
    this.changed();
  }
}

function lengthOf(draft, name) {
  return Number(draft.workload?.[name] ?? (name === "batch" ? 1 : 0));
}

function words({ batch, input_length: read, output_length: written }) {
  return `batch ${batch}, ${read} tokens in${written ? `, ${written} out` : ""}`;
}

function noDevices() {
  return h(
    "li",
    { class: "field-hint" },
    "No device was measured yet, so latency can be no objective. Measure this machine: ",
    command("nas device profile this-machine --space text-encoder"),
  );
}
