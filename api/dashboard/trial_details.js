// Everything about one trial, and the ways to take it along.

import { get } from "./api.js";
import { attentionKey, layerTable, stacksOf, summary } from "./architecture.js";
import { picture } from "./architecture_picture.js";
import { copyButton } from "./copy_button.js";
import { h, show } from "./dom.js";
import { duration, exact, significant } from "./format.js";
import { describeMetric, inOrder, intervalOf, isBound } from "./metrics.js";
import { takeAlong } from "./take_along.js";
import { trainingCurve } from "./training_curve.js";
import { stateText } from "./trial_columns.js";

const LABELS = {
  proxy:
    "after a short training at a fixed budget: it compares candidates of one job, and is no promise for the final model",
  trained: "on validation, after training in full",
  tested: "on the test split, once, after training in full",
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

  /**
   * Draws {trial (undefined while it is asked for), job, isKnee, isChosen, ties, device}; `isChosen` is false for the
   * knee that is shown while nothing is chosen, `ties` are those of the front, `device` is one that the job was not
   * searched for, if its figures are shown.
   */
  draw({ trial, job, isKnee, isChosen, ties, device }) {
    const tied = ties.find((tie) => tie.trial === trial?.number)?.tied_with ?? [];
    const key = JSON.stringify([
      trial === undefined,
      trial?.number,
      trial?.state,
      trial?.on_front,
      trial?.dropped,
      isKnee,
      isChosen,
      trial?.metrics,
      trial?.qualities,
      tied,
      device,
    ]);
    if (key === this.#key) return;
    this.#key = key;
    this.element.classList.toggle("is-chosen", Boolean(isChosen));
    if (!trial) {
      show(
        this.element,
        h(
          "p",
          { class: "details-empty" },
          isChosen
            ? trial === undefined
              ? "Loading the trial…"
              : "This job has no trial of that number (yet)."
            : "Choose a point or a row to see its architecture.",
        ),
        isChosen && this.#closeButton(),
      );
      return;
    }
    show(
      this.element,
      h(
        "header",
        {},
        h("h2", {}, `Trial ${trial.number}`),
        trial.on_front && h("span", { class: "tag tag-front" }, "on the front"),
        isKnee &&
          h(
            "span",
            { class: "tag tag-knee", title: "the compromise nearest to the best of every objective" },
            "knee",
          ),
        !trial.on_front && h("span", { class: "tag" }, stateText(trial)),
        isChosen && this.#closeButton(),
      ),
      !isChosen && h("p", { class: "details-hint" }, "The front’s knee. Choose any point or row to see it here."),
      h(
        "p",
        { class: "details-id" },
        h("code", {}, trial.architecture_id),
        copyButton(trial.architecture_id, "Copy the id"),
      ),
      trial.why && h("p", { class: "details-summary", "data-why": trial.why.by }, whyText(trial.why, job)),
      trial.recalled && recalledFrom(trial.recalled),
      this.#whatHappened(trial),
      this.#ties(tied),
      figures(trial, job),
      h(
        "section",
        { class: "details-architecture" },
        h("h3", {}, "Architecture"),
        h("p", { class: "details-summary" }, summary(trial.architecture)),
        h(
          "p",
          { class: "picture-head-line", "aria-hidden": "true" },
          h("span", {}, hasCross(trial.architecture) ? "attention, cross-attention" : "attention heads"),
          h("span", {}, "feed-forward size"),
        ),
        picture(trial.architecture),
        attentionKey(trial.architecture),
        this.#folded("layers", "Layer by layer", () => layerTable(trial.architecture)),
      ),
      ["complete", "stopped"].includes(trial.state) && this.#folded("training", "Training", () => this.#training(trial)),
      trial.links.config_yaml &&
        h(
          "p",
          { class: "buttons" },
          h("a", { class: "button", href: `/compare?trials=${job.id}:${trial.number}` }, "Compare with…"),
        ),
      trial.links.config_yaml && takeAlong(trial, device),
    );
  }

  #closeButton() {
    return h(
      "button",
      { type: "button", class: "close", "aria-label": "Close the details", click: () => this.closed() },
      "×",
    );
  }

  #whatHappened(trial) {
    const lines = [];
    if (trial.error) lines.push(`Failed: ${trial.error}`);
    if (trial.stop_reason) lines.push(`${trial.stop_reason[0].toUpperCase()}${trial.stop_reason.slice(1)}.`);
    if (trial.dropped) lines.push("The job ended before its training did.");
    else if (trial.state === "running") lines.push("Being trained now.");
    for (const [limit, amount] of Object.entries(trial.violations ?? {})) {
      if (amount > 0) lines.push(`Breaks the limit ${limit} by ${significant(amount * 100, 3)} %.`);
    }
    if (trial.skip_reason === "over_limit") lines.push("Known before training, so it was never trained.");
    const same =
      trial.skip_reason === "duplicate" &&
      h(
        "p",
        {},
        "The same architecture as ",
        h(
          "button",
          { type: "button", class: "link", click: () => this.picked(trial.same_as) },
          `trial ${trial.same_as}`,
        ),
        ", so it was not trained again.",
      );
    return (
      (lines.length || same) &&
      h(
        "div",
        { class: "details-note" },
        lines.map((line) => h("p", {}, line)),
        same,
      )
    );
  }

  #ties(tied) {
    if (!tied.length) return null;
    const links = tied.map((number, i) => [
      i > 0 && ", ",
      h("button", { type: "button", class: "link", click: () => this.picked(number) }, `trial ${number}`),
    ]);
    return h(
      "div",
      { class: "details-note is-neutral" },
      h("p", {}, "Tied with ", links, ": the difference is within the noise between seeds."),
    );
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
      (full) =>
        show(place, trainingCurve(full), h("p", {}, `${duration(full.duration_s)} of training and evaluation`)),
      (error) => {
        this.#histories.delete(path);
        show(
          place,
          h(
            "p",
            {},
            error.message,
            " ",
            h(
              "button",
              { type: "button", class: "link", click: () => place.replaceWith(this.#training(trial)) },
              "Try again",
            ),
          ),
        );
      },
    );
    return place;
  }
}

function recalledFrom({ job, trial, seed }) {
  return h(
    "p",
    { class: "details-summary", "data-recalled": job },
    `Not trained again: its score is that of trial ${trial} of `,
    h("a", { href: `/jobs/${encodeURIComponent(job)}` }, job),
    `, under seed ${seed}.`,
  );
}

function whyText({ by, expected }, job) {
  if (by === "start") return "The job starts from it.";
  if (by === "spread") return "Proposed to have candidates of every cost.";
  if (by === "neighbour") return "A neighbour of the candidate before, since the sampler repeated itself.";
  const parts = Object.entries(expected ?? {}).map(([name, { mean, deviation }]) => {
    const metric = describeMetric(name, job.objectives);
    return `${metric.label} ${significant(mean, 3)} ± ${significant(deviation, 2)}`;
  });
  return `Proposed by the model, which expected ${parts.join(", ")}.`;
}

function hasCross(architecture) {
  return stacksOf(architecture).some(({ stack }) => stack.layers.some((layer) => layer.cross));
}

function figures(trial, job) {
  const names = inOrder(Object.keys(trial.metrics)).filter((name) => !isBound(name));
  return h(
    "dl",
    { class: "figures" },
    names.flatMap((name) => {
      const metric = describeMetric(name, job.objectives);
      const value = trial.metrics[name];
      const bounds = intervalOf(name);
      const [low, high] = bounds ? [trial.metrics[bounds.lower], trial.metrics[bounds.upper]] : [];
      const row = figure(
        metric.label,
        metric.writeExact(value),
        name,
        metric.quality &&
          h("span", { class: "tag tag-proxy", title: LABELS[trial.quality_label] }, trial.quality_label),
        Number.isFinite(low) && h("span", { class: "interval" }, `90 %: ${significant(low)}–${significant(high)}`),
      );
      if (metric.quality) return [row, ...trainedFigures(trial, metric)];
      // fvcore's flops are multiply-adds; other tools count two operations for each
      return name === "macs" ? [row, figure("FLOPs (2 × MACs)", exact(2 * value), "flops")] : [row];
    }),
  );
}

/** The same quality after training in full: the mean over seeds, and how far they differ. */
function trainedFigures(trial, metric) {
  return (trial.qualities ?? [])
    .filter(({ label, metrics }) => label !== "proxy" && metric.name in metrics)
    .map(({ label, metrics, deviations, seeds, steps }) =>
      figure(
        `${metric.label}, ${steps} steps, ${seeds === 1 ? "1 seed" : `${seeds} seeds`}`,
        metric.write(metrics[metric.name]),
        `${metric.name}:${label}`,
        h("span", { class: "tag tag-proxy", title: LABELS[label] }, label),
        deviations && h("span", { class: "interval" }, `± ${significant(deviations[metric.name], 2)}`),
      ),
    );
}

function figure(label, text, name, before, after) {
  return h(
    "div",
    {},
    h("dt", {}, label),
    h("dd", { "data-metric": name }, before, h("span", { class: "value" }, text), after),
  );
}
