// Two architectures side by side: pictures, what differs, every metric with its ratio.

import { attentionKey, summary } from "./architecture.js";
import { picture } from "./architecture_picture.js";
import { differencesOf } from "./differences.js";
import { h } from "./dom.js";
import { capital } from "./form_fields.js";
import { significant } from "./format.js";
import { describeMetric, inOrder } from "./metrics.js";

export function compareTrials(told) {
  const names = told.trials.map((one) => nameOf(one, told));
  const same = told.trials[0].job === told.trials[1].job;
  return h(
    "div",
    { class: "compare" },
    h(
      "div",
      { class: "compare-pair" },
      told.trials.map((one, index) => card(one, names[index])),
    ),
    h("section", { class: "compare-figures" }, h("h2", {}, "Metrics"), figures(told, names)),
    h(
      "section",
      { class: "compare-changes" },
      h("h2", {}, "What differs in the architecture"),
      changes(told.changes, names),
    ),
    !same &&
      h(
        "section",
        { class: "compare-differences" },
        h("h2", {}, "What differs between the jobs"),
        differencesOf(
          told.differences,
          told.trials.map((one) => one.job_name),
        ),
      ),
  );
}

/** Of one job the numbers say which is which; of two their names are needed. */
function nameOf({ job_name: job, trial }, told) {
  const same = told.trials[0].job === told.trials[1].job;
  return same ? `Trial ${trial.number}` : `${job}, trial ${trial.number}`;
}

function card({ page, job_name: job, trial }, name) {
  return h(
    "section",
    { class: "compare-card", "data-trial": trial.number },
    h(
      "h2",
      {},
      h("a", { href: page }, name),
      trial.on_front && h("span", { class: "tag tag-front" }, "on the front"),
    ),
    h("p", { class: "details-id" }, job, " · ", h("code", {}, trial.architecture_id)),
    h("p", { class: "details-summary" }, summary(trial.architecture)),
    h(
      "p",
      { class: "picture-head-line", "aria-hidden": "true" },
      h("span", {}, "attention"),
      h("span", {}, "feed-forward size"),
    ),
    picture(trial.architecture),
    attentionKey(trial.architecture),
  );
}

function figures({ metrics }, names) {
  const byName = new Map(metrics.map((metric) => [metric.name, metric]));
  const row = (metric) => {
    const described = describeMetric(metric.name, metrics);
    const cell = (value, index) =>
      h(
        "td",
        {
          class: metric.better === index ? "is-better" : null,
          title: value === null ? null : described.writeExact(value),
        },
        value === null ? "–" : described.write(value),
        metric.better === index && h("span", { class: "visually-hidden" }, " (better)"),
      );
    return h(
      "tr",
      { "data-metric": metric.name },
      h(
        "th",
        { scope: "row" },
        described.label,
        metric.label_of_quality && h("span", { class: "tag tag-proxy" }, metric.label_of_quality),
      ),
      metric.values.map(cell),
      h("td", { class: metric.comparable ? "ratio" : "ratio is-quiet" }, ratioOf(metric)),
    );
  };
  return h(
    "div",
    { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Metrics of both" },
    h(
      "table",
      { class: "plain" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["Metric", ...names, "Ratio"].map((text) => h("th", { scope: "col" }, text)),
        ),
      ),
      h(
        "tbody",
        {},
        inOrder([...byName.keys()]).map((name) => row(byName.get(name))),
      ),
    ),
  );
}

// A ratio of numbers that mean different things would only mislead
function ratioOf(metric) {
  if (metric.ratio === null) return "–";
  return metric.comparable ? `× ${significant(metric.ratio, 3)}` : "not comparable";
}

function changes(list, names) {
  if (!list.length) return h("p", { class: "field-hint" }, "Nothing: they are the same architecture.");
  let before = null;
  return h(
    "div",
    { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Differences of the architectures" },
    h(
      "table",
      { class: "plain changes" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ["Part", "Choice", ...names].map((text) => h("th", { scope: "col" }, text)),
        ),
      ),
      h(
        "tbody",
        {},
        list.map((change) => {
          const first = change.part !== before;
          before = change.part;
          return h(
            "tr",
            { class: first ? "is-first" : null },
            h(
              "th",
              { scope: "row" },
              first ? capital(change.part) : h("span", { class: "visually-hidden" }, change.part),
            ),
            h("td", {}, change.choice),
            change.values.map((value) => h("td", {}, value ?? "–")),
          );
        }),
      ),
    ),
  );
}
