// How the search came along: its hypervolume over the evaluations, and which choices matter. Asked for when it is opened.

import { h, show, svg } from "./dom.js";
import { count, exact, share } from "./format.js";
import { describeMetric } from "./metrics.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [340, 150, 46, 24];

export class SearchPanel {
  element = h("details", { class: "search-panel" });
  #growth = h("div", { class: "search-growth" });
  #importance = h("div", { class: "search-importance" });
  #key = null;

  /** `opened()` is called when somebody opens it. */
  constructor(opened) {
    show(
      this.element,
      h("summary", {}, h("h2", {}, "The search")),
      h("div", { class: "search-parts" }, this.#growth, this.#importance),
    );
    this.element.addEventListener("toggle", () => this.element.open && opened());
  }

  /** Draws {growth, importance}, each as Asked tells it or null, and the job. */
  draw({ growth, importance, job }) {
    if (!this.element.open) return;
    const key = JSON.stringify([growth, importance]);
    if (key === this.#key) return;
    this.#key = key;
    show(this.#growth, h("h3", {}, "Hypervolume over evaluations"), told(growth, curve));
    show(
      this.#importance,
      h("h3", {}, "Which choices matter"),
      told(importance, (answer) => answer.objectives.map((each) => bars(each, job))),
    );
  }
}

function told(asked, draw) {
  if (asked?.status === "error") return h("p", {}, asked.error.message);
  return asked?.answer ? draw(asked.answer) : h("p", { class: "loading" }, "Asking the server…");
}

function curve({ evaluated, steps }) {
  if (!steps?.length) return h("p", {}, "There is no hypervolume yet.");
  const top = steps.at(-1).hypervolume;
  const x = (evaluations) => LEFT + ((WIDTH - LEFT - 10) * evaluations) / Math.max(1, evaluated);
  const y = (volume) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - 14) * volume) / top;
  let path = `M${x(0)} ${y(0)}`;
  for (const step of steps) path += `H${x(step.evaluations).toFixed(1)}V${y(step.hypervolume).toFixed(1)}`;
  path += `H${x(evaluated)}`;
  const text = (left, above, words, anchor) =>
    svg("text", { x: left, y: above, "text-anchor": anchor, class: "curve-text" }, words);
  const half = steps.find((step) => step.hypervolume >= top / 2);
  const last = steps.at(-1);
  return [
    svg(
      "svg",
      {
        class: "growth-curve",
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        role: "img",
        "aria-label": `Hypervolume, ${share(top)} after ${count(evaluated, "evaluation")}`,
      },
      svg("path", { d: `M${LEFT} 8V${HEIGHT - BOTTOM}H${WIDTH - 8}`, class: "curve-axis" }),
      svg("path", { d: path, class: "curve-line" }),
      text(LEFT - 6, y(top) + 4, share(top), "end"),
      text(LEFT - 6, y(0) + 4, "0", "end"),
      text(LEFT, HEIGHT - 8, "evaluations", "start"),
      text(WIDTH - 8, HEIGHT - 8, exact(evaluated), "end"),
    ),
    h(
      "p",
      { class: "search-words" },
      `Half of it was reached after ${count(half.evaluations, "evaluation")}; trial ${last.trial} was the last to raise ` +
        `it, after ${exact(last.evaluations)}.`,
    ),
  ];
}

function bars({ objective, model, choices }, job) {
  const { label } = describeMetric(objective, job.objectives);
  const words = model && ` (a model of ${count(model.trials, "trial")}, which explains ${percent(model.explains)} of it)`;
  return h(
    "table",
    { class: "importance" },
    h("caption", {}, label, words),
    h(
      "tbody",
      {},
      (choices ?? []).map(({ choice, share: part }) =>
        h(
          "tr",
          {},
          h("th", { scope: "row", title: choice }, nameOf(choice)),
          h("td", {}, h("meter", { min: 0, max: 1, value: part, "aria-hidden": "true" })),
          h("td", { class: "figure" }, percent(part)),
        ),
      ),
      !choices && h("tr", {}, h("td", {}, "Too few evaluations, or too few candidates within the limits, to say.")),
    ),
  );
}

// "layers.*.attention.heads" is "Heads": of every layer all of them are
function nameOf(choice) {
  const short = choice.replace(/layers\.\*\./, "").replace(/(^|\.)(attention|feed_forward)\./, "$1");
  const words = short.replace(/(^|\.)depth$/, "$1layers").replaceAll(/[._]/g, " ");
  return words[0].toUpperCase() + words.slice(1);
}

function percent(part) {
  return `${Math.round(100 * part)} %`;
}
