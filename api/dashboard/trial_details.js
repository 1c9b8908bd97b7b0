// Everything about one trial, and the ways to take it along.

import { get } from "./api.js";
import { attentionKey, layerTable, picture, summary } from "./architecture.js";
import { h, show, svg } from "./dom.js";
import { duration, exact, significant } from "./format.js";
import { describeMetric, inOrder, intervalOf, isBound } from "./metrics.js";
import { announce } from "./notices.js";
import { stateText } from "./trial_table.js";

const LABELS = {
  proxy: "after a short training at a fixed budget: it compares candidates of one job, and is no promise for the final model",
};

export class TrialDetails {
  element = h("aside", { class: "details", "aria-label": "Details of a trial", tabindex: "-1" });
  #key = null;
  #open = new Set(); // which folded parts the person has opened
  #histories = new Map();

  /** `closed()` and `picked(number)` are told what the person chose. */
  constructor(closed, picked) {
    this.closed = closed;
    this.picked = picked;
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") closed();
    });
  }

  /** Draws {trial, job, isKnee, isChosen}; `isChosen` is false for the knee that is shown while nothing is chosen. */
  draw({ trial, job, isKnee, isChosen }) {
    const key = JSON.stringify([trial?.number, trial?.state, trial?.on_front, isKnee, isChosen, trial?.metrics]);
    if (key === this.#key) return;
    this.#key = key;
    this.element.classList.toggle("is-chosen", Boolean(isChosen));
    if (!trial) {
      show(this.element, h("p", { class: "details-empty" },
        isChosen ? "This job has no trial of that number (yet)." : "Choose a point or a row to see its architecture."),
      isChosen && this.#closeButton());
      return;
    }
    show(this.element,
      h("header", {},
        h("h2", {}, `Trial ${trial.number}`),
        trial.on_front && h("span", { class: "tag tag-front" }, "on the front"),
        isKnee && h("span", { class: "tag tag-knee", title: "the compromise nearest to the best of every objective" }, "knee"),
        !trial.on_front && h("span", { class: "tag" }, stateText(trial)),
        isChosen && this.#closeButton()),
      !isChosen && h("p", { class: "details-hint" }, "The front’s knee. Choose any point or row to see it here."),
      h("p", { class: "details-id" }, h("code", {}, trial.architecture_id), copyButton(trial.architecture_id, "Copy the id")),
      this.#whatHappened(trial),
      figures(trial, job),
      h("section", { class: "details-architecture" },
        h("h3", {}, "Architecture"),
        h("p", { class: "details-summary" }, summary(trial.architecture)),
        h("p", { class: "picture-head-line", "aria-hidden": "true" }, h("span", {}, "attention heads"), h("span", {}, "feed-forward size")),
        picture(trial.architecture),
        attentionKey(trial.architecture),
        this.#folded("layers", "Layer by layer", () => layerTable(trial.architecture))),
      trial.state === "complete" && this.#folded("training", "Training", () => this.#training(trial)),
      downloads(trial));
  }

  #closeButton() {
    return h("button", { type: "button", class: "close", "aria-label": "Close the details", click: () => this.closed() }, "×");
  }

  #whatHappened(trial) {
    const lines = [];
    if (trial.error) lines.push(`Failed: ${trial.error}`);
    if (trial.state === "running") lines.push("Being trained now.");
    for (const [limit, amount] of Object.entries(trial.violations ?? {})) {
      if (amount > 0) lines.push(`Breaks the limit ${limit} by ${significant(amount * 100, 3)} %.`);
    }
    if (trial.skip_reason === "over_limit") lines.push("Known before training, so it was never trained.");
    const same = trial.skip_reason === "duplicate" && h("p", {}, "The same architecture as ",
      h("button", { type: "button", class: "link", click: () => this.picked(trial.same_as) }, `trial ${trial.same_as}`),
      ", so it was not trained again.");
    return (lines.length || same) && h("div", { class: "details-note" }, lines.map((line) => h("p", {}, line)), same);
  }

  #folded(name, title, content) {
    const place = h("div", {});
    const fill = () => place.firstChild ?? place.append(content());
    const box = h("details", { open: this.#open.has(name) }, h("summary", {}, title), place);
    if (box.open) fill();
    box.addEventListener("toggle", () => {
      if (box.open) fill();
      this.#open[box.open ? "add" : "delete"](name);
    });
    return box;
  }

  #training(trial) {
    const place = h("div", { class: "training" }, h("p", { class: "loading" }, "Loading…"));
    const path = trial.links.self;
    this.#histories.has(path) || this.#histories.set(path, get(path));
    this.#histories.get(path).then(
      (full) => show(place, curve(full), h("p", {}, `${duration(full.duration_s)} of training and evaluation`)),
      (error) => {
        this.#histories.delete(path);
        show(place, h("p", {}, error.message, " ",
          h("button", { type: "button", class: "link", click: () => place.replaceWith(this.#training(trial)) }, "Try again")));
      });
    return place;
  }
}

function figures(trial, job) {
  const names = inOrder(Object.keys(trial.metrics)).filter((name) => !isBound(name));
  return h("dl", { class: "figures" }, names.flatMap((name) => {
    const metric = describeMetric(name, job.objectives);
    const value = trial.metrics[name];
    const bounds = intervalOf(name);
    const [low, high] = bounds ? [trial.metrics[bounds.lower], trial.metrics[bounds.upper]] : [];
    const row = figure(metric.label, metric.writeExact(value), name,
      metric.quality && h("span", { class: "tag tag-proxy", title: LABELS[trial.quality_label] }, trial.quality_label),
      Number.isFinite(low) && h("span", { class: "interval" }, `90 %: ${significant(low)}–${significant(high)}`));
    // fvcore's flops are multiply-adds; other tools count two operations for each
    return name === "macs" ? [row, figure("FLOPs (2 × MACs)", exact(2 * value), "flops")] : [row];
  }));
}

function figure(label, text, name, before, after) {
  return h("div", {}, h("dt", {}, label), h("dd", { "data-metric": name }, before, h("span", { class: "value" }, text), after));
}

function downloads(trial) {
  const file = fileName(trial, "yaml");
  return h("section", { class: "take" },
    h("h3", {}, "Take it along"),
    h("p", { class: "buttons" },
      h("a", { class: "button primary", href: trial.links.config_yaml, download: file }, "Config, YAML"),
      h("a", { class: "button", href: trial.links.config_json, download: fileName(trial, "json") }, "Config, JSON"),
      trial.has_weights && h("a", { class: "button", href: trial.links.weights, download: fileName(trial, "safetensors") }, "Weights")),
    h("p", { class: "take-hint" }, "Rebuild it from the file alone and compare every number:"),
    h("p", { class: "command" }, h("code", {}, `nas score ${file} --verify`), copyButton(`nas score ${file} --verify`, "Copy the command")));
}

function fileName(trial, ending) {
  return `${trial.architecture_id}.${ending}`;
}

function copyButton(text, label) {
  const button = h("button", { type: "button", class: "copy", "aria-label": label, title: label, click: copy }, "Copy");
  let timer = null;
  async function copy() {
    let done = "Copied";
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Only https and localhost have a clipboard: the text is marked for the person's own copy
      getSelection().selectAllChildren(button.previousSibling);
      done = "Press Ctrl+C";
    }
    button.textContent = done;
    announce(done);
    clearTimeout(timer);
    timer = setTimeout(() => (button.textContent = "Copy"), 2_000);
  }
  return button;
}

// The loss over the steps of the training
function curve(trial) {
  const history = trial.training?.history ?? [];
  if (history.length < 2) return h("p", {}, "No history was kept.");
  const [steps, losses] = [history.map(([step]) => step), history.map(([, loss]) => loss)];
  const top = losses.reduce((a, b) => Math.max(a, b));
  const last = steps.at(-1);
  const points = history.map(([step, loss]) => `${40 + (290 * step) / last},${82 - (72 * loss) / top}`).join(" ");
  const text = (x, y, value, anchor) => svg("text", { x, y, "text-anchor": anchor, class: "curve-text" }, value);
  return svg("svg", { class: "curve", viewBox: "0 0 340 100", role: "img",
    "aria-label": `Training loss from ${significant(losses[0], 3)} at step ${steps[0]} to ${significant(losses.at(-1), 3)} at step ${last}` },
  svg("path", { d: "M40 10V82H332", class: "curve-axis" }), svg("polyline", { points, class: "curve-line" }),
  text(36, 14, significant(top, 3), "end"), text(36, 85, "0", "end"), text(40, 96, "loss by step", "start"), text(332, 96, exact(last), "end"));
}
