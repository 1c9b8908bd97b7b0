// How far the scores of a job's search can be trusted: the server's report, and the button that has it made.

import { h, show } from "./dom.js";
import { count, significant } from "./format.js";
import { isFinal } from "./job_parts.js";
import { describeMetric } from "./metrics.js";

export class FidelityPanel {
  element = h("section", { class: "fidelity", "aria-labelledby": "fidelity-title", hidden: true });
  #key = null;
  #problem = "";

  /** `finish()` asks the server to train in full; `picked(number)` is told of a trial that was chosen. */
  constructor(finish, picked) {
    this.finish = finish;
    this.picked = picked;
  }

  /** Draws the report of a job; nothing before its search has ended. */
  draw(job, report) {
    const key = JSON.stringify([job.state, job.progress.finish, report, this.#problem]);
    if (key === this.#key) return;
    this.#key = key;
    const searched = job.search_ended !== null || isFinal(job);
    this.element.hidden = !searched || !report;
    if (this.element.hidden) return;
    const metric = describeMetric(report.metric, job.objectives);
    show(
      this.element,
      h(
        "div",
        { class: "section-head" },
        h("h2", { id: "fidelity-title" }, `How far to trust the ${lower(metric.label)}`),
        isFinal(job) && report.status !== "checked" && this.#button(job, report),
      ),
      this.#problem && h("p", { class: "dialog-problem", role: "alert" }, this.#problem),
      job.progress.finish && !isFinal(job) && progress(job.progress.finish),
      h("ul", { class: "fidelity-words" }, report.words.map((words) => h("li", {}, words))),
      h("div", { class: "fidelity-tables" }, agreements(report, metric), this.#members(report, metric)),
    );
  }

  #button(job, report) {
    const text = report.status === "unchecked" ? "Train the front in full" : "Train what is missing";
    return h(
      "button",
      {
        type: "button",
        title:
          "Trains the front, the smallest and the largest architecture in full under several seeds and a sample " +
          "once, scores them on test, and tells how far the search’s scores could be trusted.",
        click: async (event) => {
          event.target.disabled = true;
          try {
            this.#problem = "";
            await this.finish(job.finish ?? {});
          } catch (error) {
            this.#problem = error.message;
            event.target.disabled = false;
            this.draw(job, report);
          }
        },
      },
      text,
    );
  }

  #members(report, metric) {
    const members = report.finish?.members.filter((member) => member.trained) ?? [];
    if (!members.length) return null;
    const rows = members.map((member) =>
      h(
        "tr",
        { "data-trial": member.trial },
        h(
          "th",
          { scope: "row" },
          h("button", { type: "button", class: "link", click: () => this.picked(member.trial) }, member.trial),
        ),
        h("td", {}, member.roles.join(", ")),
        h("td", { class: "figure" }, metric.write(member.proxy)),
        h("td", { class: "figure" }, figure(member.trained, metric)),
        h("td", { class: "figure" }, figure(member.tested, metric)),
        h("td", { class: "figure" }, member.trained.seeds),
      ),
    );
    const head = ["Trial", "Why", "Proxy", "Trained", "Tested", "Seeds"];
    return table(`${metric.label}, trained in full over ${report.full_steps} steps`, head, rows);
  }
}

function agreements(report, metric) {
  const every = [
    ...report.rungs.map((rung) => [`${metric.label} after ${rung.steps} steps`, rung]),
    ...report.beside.map((each) => [each.name, each]),
  ];
  if (!every.length) return null;
  const rows = every.map(([name, { overall, within_strata: within }]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      h("td", { class: "tau" }, tauBar(overall)),
      h("td", { class: "figure" }, two(overall.tau)),
      h("td", { class: "figure" }, overall.tau === null ? "–" : `${two(overall.tau_low)} to ${two(overall.tau_high)}`),
      h("td", { class: "figure" }, two(within?.tau ?? null)),
    ),
  );
  const drawn = h("span", { class: "visually-hidden" }, "τ from −1 to 1");
  const head = ["Ranking by", drawn, "Kendall’s τ", "90 % interval", "τ at like cost"];
  return table(`Agreement with ${report.full_steps} steps, ${count(report.sample.length, "candidate")}`, head, rows);
}

/** A line from −1 to 1 with the interval and the figure on it. */
function tauBar({ tau, tau_low: low, tau_high: high }) {
  if (tau === null) return null;
  const place = (value) => 50 + 50 * value;
  const meter = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  meter.setAttribute("viewBox", "0 0 100 12");
  meter.setAttribute("class", "tau-bar");
  meter.setAttribute("aria-hidden", "true");
  const line = (name, x1, x2, y1 = 6, y2 = 6) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", "line");
    for (const [key, value] of Object.entries({ class: name, x1, x2, y1, y2 })) element.setAttribute(key, value);
    return element;
  };
  const point = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  for (const [key, value] of Object.entries({ cx: place(tau), cy: 6, r: 3.2 })) point.setAttribute(key, value);
  meter.append(line("tau-axis", 0, 100), line("tau-zero", 50, 50, 2, 10), line("tau-interval", place(low), place(high)), point);
  return meter;
}

function table(caption, head, rows) {
  return h(
    "div",
    { class: "table-scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, rows),
    ),
  );
}

function progress({ complete, trainings, failed }) {
  return h(
    "div",
    { class: "progress" },
    h("progress", { value: complete, max: Math.max(1, trainings), "aria-label": "Trainings in full" }),
    h("span", { class: "number" }, `${complete} / ${trainings} trainings in full${failed ? `, ${failed} failed` : ""}`),
  );
}

function figure(found, metric) {
  if (!found) return "–";
  const text = metric.write(found.mean);
  return found.deviation === null ? text : `${text} ± ${significant(found.deviation, 2)}`;
}

function two(value) {
  return value === null ? "–" : value.toFixed(2).replace("-", "−");
}

function lower(text) {
  return text[0].toLowerCase() + text.slice(1);
}
