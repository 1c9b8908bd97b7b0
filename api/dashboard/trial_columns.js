// The columns of the table of trials.

import { depthOf, sizeText, summary } from "./architecture.js";
import { glyph } from "./architecture_picture.js";
import { h } from "./dom.js";
import { intervalText } from "./hover_card.js";
import { describeMetric } from "./metrics.js";

const COSTS = ["parameters", "macs", "size_mb"];

/** Why a trial is where it is, in a few words. */
export function stateText(trial) {
  if (trial.skip_reason === "duplicate") return `duplicate of ${trial.same_as}`;
  if (trial.skip_reason === "over_limit") return "over a limit";
  if (trial.state === "complete" && !trial.feasible) return "complete, over a limit";
  if (trial.state === "stopped") return `stopped after ${trial.rungs.at(-1)?.steps ?? "?"} steps`;
  return trial.dropped ? "dropped" : trial.state;
}

/** Returns [{name, label, title, class, value(trial), cell(trial)}] for {job, withState, axes}; without `value` no sorting. */
export function columnsOf({ job, withState, axes }) {
  const names = [...new Set([...job.objectives.map((o) => o.name), ...axes, ...COSTS])];
  const metrics = names.map((name) => {
    const metric = describeMetric(name, job.objectives);
    return {
      name,
      label: [metric.label, metric.unit, metric.quality && "proxy"].filter(Boolean).join(", "),
      title: name,
      class: "figure",
      value: (trial) => trial.metrics[name],
      cell: (trial) => {
        const value = trial.metrics[name];
        if (!Number.isFinite(value)) return "–";
        const text = metric.write(value);
        return [
          h(
            "span",
            { title: metric.writeExact(value) },
            metric.unit ? text.slice(0, -metric.unit.length - 1) : text,
          ),
          intervalText(trial, name),
        ];
      },
    };
  });
  return [
    { name: "number", label: "Trial", class: "trial-number", value: (trial) => trial.number },
    ...(withState
      ? [{ name: "state", label: "State", class: "trial-state", value: stateText, cell: stateCell }]
      : []),
    ...metrics,
    {
      name: "architecture",
      label: "Layers",
      class: "trial-layers",
      value: (trial) => depthOf(trial.architecture),
      cell: (trial) =>
        h(
          "span",
          { class: "layers-cell", title: summary(trial.architecture) },
          sizeText(trial.architecture),
          glyph(trial.architecture),
        ),
    },
  ];
}

function stateCell(trial) {
  const kind = trial.on_front
    ? "front"
    : trial.state === "complete" && trial.feasible
      ? "complete"
      : (trial.skip_reason ?? trial.state);
  return h(
    "span",
    { class: `trial-kind kind-${kind.replace(/[^a-z_]/g, "")}` },
    trial.on_front ? "on the front" : stateText(trial),
  );
}

/** Returns the trials ordered by a column's name, "-" before it for falling; what has no value comes last. */
export function sorted(trials, columns, sort) {
  if (!sort) return trials;
  const column = columns.find((c) => c.name === sort.replace(/^-/, ""));
  if (!column?.value) return trials;
  const sign = sort.startsWith("-") ? -1 : 1;
  const missing = (value) => value === undefined || value === null || Number.isNaN(value);
  return [...trials].sort((a, b) => {
    const [left, right] = [column.value(a), column.value(b)];
    if (missing(left) || missing(right)) return Number(missing(left)) - Number(missing(right));
    if (left === right) return a.number - b.number;
    return left < right ? -sign : sign;
  });
}
