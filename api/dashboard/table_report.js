// How far one latency table can be trusted: its models predicted and measured, what it covers, what to know.

import { AccuracyChart } from "./accuracy_chart.js";
import { commandHere } from "./devices_page.js";
import { h, show } from "./dom.js";
import { count, duration, exact, significant } from "./format.js";
import { readWorkload } from "./job_defaults.js";

export class TableReport {
  element = h("section", { class: "table-report", "aria-live": "off" });
  #chart = new AccuracyChart();

  draw(report) {
    const { table } = report;
    show(
      this.element,
      h("h2", {}, `Table ${table.version}: ${table.space}, ${workloadWords(table.workload)}`),
      report.warnings.length > 0 &&
        h(
          "ul",
          { class: "report-warnings" },
          report.warnings.map((text) => h("li", {}, text)),
        ),
      report.usable && this.#accuracy(report),
      report.coverage.length > 0 && coverage(report.coverage),
      report.measure && again(report),
    );
    if (report.usable) this.#chart.draw(report.models);
  }

  #accuracy(report) {
    return h(
      "div",
      { class: "report-accuracy" },
      h(
        "figure",
        {},
        h("figcaption", {}, "Whole models, each predicted by a fit on all the others, with the stated interval"),
        this.#chart.element,
      ),
      h("div", {}, figures(report), models(report.models)),
    );
  }
}

/** "batch=1,input_length=64,output_length=0" as a person reads it. */
export function workloadWords(key) {
  const { batch, input_length: read, output_length: written } = readWorkload(key);
  return `batch ${batch}, ${read} tokens in${written ? `, ${written} out` : ""}`;
}

function figures({ table, inside, models: list, duration_s: took, vocabulary_size: words, outputs, recipe }) {
  const { errors } = table;
  const percent = (share) => `${(100 * share).toFixed(0)} %`;
  const within = list.filter((model) => model.inside).length;
  const rows = [
    ["Mean error", `${errors.mean_absolute_percent.toFixed(2)} %`, "mean_absolute_percent"],
    ["Bias", `${signed(errors.bias_percent)} %`, "bias_percent", "above 0 it predicts too slow"],
    ["Within ±7 %", percent(errors.within_7_percent), "within_7_percent"],
    [
      "90 % interval",
      `±${errors.interval_percent.toFixed(1)} %`,
      "interval_percent",
      "mean over the whole models",
    ],
    ["In their interval", `${within} of ${list.length} (${percent(inside)})`, "inside"],
    [
      "Entries",
      `${exact(table.entries)}${table.invalid_entries ? `, ${table.invalid_entries} not valid` : ""}`,
      "entries",
    ],
    ["Measured with", `vocabulary ${exact(words)}, ${exact(outputs)} outputs`, "sizes"],
    ["Measuring took", duration(took), "duration"],
    ["Recipe", recipe, "recipe"],
  ];
  return h(
    "dl",
    { class: "figures" },
    rows.map(([title, text, name, hint]) =>
      h("div", { title: hint }, h("dt", {}, title), h("dd", { "data-figure": name }, text)),
    ),
  );
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}

function models(list) {
  const heads = ["Architecture", "Measured, ms", "Predicted, ms", "90 % interval, ms", "Error"];
  return h(
    "details",
    { class: "report-models" },
    h("summary", {}, `The ${count(list.length, "model")} in numbers`),
    h(
      "div",
      { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Whole models" },
      h(
        "table",
        { class: "plain" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            heads.map((text) => h("th", { scope: "col" }, text)),
          ),
        ),
        h(
          "tbody",
          {},
          list.map((m) =>
            h(
              "tr",
              { class: m.inside ? null : "is-outside", "data-architecture": m.architecture_id },
              h("th", { scope: "row" }, h("code", {}, m.architecture_id)),
              h("td", {}, significant(m.measured_ms)),
              h("td", {}, significant(m.predicted_ms)),
              h("td", {}, `${significant(m.lower_ms)} – ${significant(m.upper_ms)}`),
              h("td", {}, `${signed(m.error_percent)} %`),
            ),
          ),
        ),
      ),
    ),
  );
}

function coverage(list) {
  return h(
    "section",
    { class: "report-coverage" },
    h("h3", {}, "Search spaces that it covers"),
    h(
      "ul",
      {},
      list.map((one) =>
        h(
          "li",
          { "data-space": one.search_space, class: one.missing ? "is-lacking" : "is-covered" },
          h("strong", {}, one.search_space),
          h(
            "span",
            {},
            one.missing
              ? `lacks ${exact(one.missing)} of ${count(one.calls, "call")} of sub-blocks`
              : `all ${count(one.calls, "call")} of sub-blocks measured`,
          ),
          one.measure && h("details", {}, h("summary", {}, "How to measure it"), commandHere(one.measure)),
        ),
      ),
    ),
  );
}

function again(report) {
  return h(
    "section",
    { class: "report-commands" },
    h("h3", {}, "On the machine that reaches the device"),
    h("p", {}, "Measure it anew, as the next version:"),
    commandHere(report.measure),
    h("p", {}, "Check it against models that it has never seen:"),
    commandHere(report.verify),
  );
}
