// The columns of the table of trials.

import { sizeText, summary } from "./architecture.js";
import { glyph } from "./architecture_picture.js";
import { h } from "./dom.js";
import { intervalText } from "./hover_card.js";
import { describeMetric } from "./metrics.js";

const COSTS = ["parameters", "macs", "size_mb"];

/** Why a trial is where it is, in a few words. */
export function stateText(trial) {
  if (trial.skip_reason === "duplicate") return `duplicate${trial.same_as === undefined ? "" : ` of ${trial.same_as}`}`;
  if (trial.skip_reason === "over_limit") return "over a limit";
  if (trial.state === "complete" && !trial.feasible) return "complete, over a limit";
  if (trial.state === "stopped") return trial.rungs ? `stopped after ${trial.rungs.at(-1)?.steps ?? "?"} steps` : "stopped";
  return trial.dropped ? "dropped" : trial.state;
}

/** The metrics that the table always has, beside objectives and axes. */
export const TABLE_COSTS = COSTS;

/** Returns [{name, label, title, class, cell(trial)}] for {job, withState, axes}. */
export function columnsOf({ job, withState, axes }) {
  const names = [...new Set([...job.objectives.map((o) => o.name), ...axes, ...COSTS])];
  const metrics = names.map((name) => {
    const metric = describeMetric(name, job.objectives);
    return {
      name,
      label: [metric.label, metric.unit, metric.quality && "proxy"].filter(Boolean).join(", "),
      title: name,
      class: "figure",
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
    { name: "number", label: "Trial", class: "trial-number" },
    ...(withState
      ? [{ name: "state", label: "State", class: "trial-state", cell: stateCell }]
      : []),
    ...metrics,
    {
      name: "architecture",
      label: "Layers",
      class: "trial-layers",
      cell: (trial) =>
        trial.architecture &&
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

/** Returns the numbers of trials of a store ordered by a column's name, "-" before it for falling; no value comes last. */
export function sorted(numbers, store, sort) {
  const name = (sort ?? "number").replace(/^-/, "");
  const sign = sort?.startsWith("-") ? -1 : 1;
  if (name === "state") return sortedByState(numbers, store, sign);
  const keys = Float64Array.from(numbers, (number) => {
    const key = name === "number" ? number : name === "architecture" ? store.depth(number) : store.value(name, number);
    return Number.isNaN(key) ? Infinity : sign * key;
  });
  const order = Uint32Array.from(numbers, (_, place) => place);
  order.sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : numbers[a] - numbers[b]));
  return Array.from(order, (place) => numbers[place]);
}

function sortedByState(numbers, store, sign) {
  const words = numbers.map((number) => {
    const row = store.row(number);
    return [`${store.reasons[row] ?? store.states[row]}${store.feasible[row] ? "" : ", over a limit"}`, number];
  });
  words.sort(([a, one], [b, other]) => (a < b ? -sign : a > b ? sign : one - other));
  return words.map(([, number]) => number);
}
