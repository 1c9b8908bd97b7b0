// What each number of a trial is called, its unit, and how it is written.

import { aligned, exact, si, siShort, significant } from "./format.js";

const KNOWN = {
  __proto__: null, // a metric may be named like a method of every object
  error_rate: { label: "Error rate", unit: "", quality: true },
  bits_per_byte: { label: "Bits per byte", unit: "bits", quality: true },
  phoneme_error_rate: { label: "Phoneme error rate", unit: "", quality: true },
  token_error_rate: { label: "Token error rate", unit: "", quality: true },
  exact_error_rate: { label: "Share of outputs with an error", unit: "", quality: true },
  loss: { label: "Cross-entropy", unit: "nats", quality: true },
  parameters: { label: "Parameters", unit: "", whole: true },
  parameters_without_embeddings: { label: "Parameters without embeddings", unit: "", whole: true },
  macs: { label: "MACs", unit: "", whole: true },
  macs_prefill: { label: "MACs of the prompt", unit: "", whole: true, generating: true },
  macs_step: { label: "MACs of one step", unit: "", whole: true, generating: true },
  size_mb: { label: "Weights, fp32", unit: "MB" },
  size_int8_mb: { label: "Weights, int8", unit: "MB" },
  kv_cache_mb: { label: "KV cache", unit: "MB", generating: true },
  peak_activation_mb: { label: "Peak activations", unit: "MB" },
};
const ORDER = Object.keys(KNOWN);
const LATENCY = /^latency_(lower_|upper_)?ms@(.+)$/;

/**
 * Returns {name, label, unit, direction, quality, whole} and ways to write a value: `write` for
 * a column, `writeLimit` for a round number, `writeExact` for every digit. The objectives of a job say how the
 * server names them; `direction` is known for those alone.
 */
export function describeMetric(name, objectives = []) {
  const objective = objectives.find((o) => o.name === name);
  const latency = LATENCY.exec(name);
  const known = KNOWN[name] ?? (latency ? describeLatency(latency) : describeOwn(name));
  const label = objective?.label ? objective.label[0].toUpperCase() + objective.label.slice(1) : known.label;
  const unit = objective?.unit ?? known.unit;
  return {
    name,
    label,
    unit,
    direction: objective?.direction ?? "minimize",
    quality: known.quality ?? Boolean(objective?.label_of_quality),
    whole: known.whole ?? false,
    write: (value) => join(known.whole ? si(value) : aligned(value), unit),
    writeLimit: (value) => join(known.whole ? siShort(value) : significant(value, 6), unit),
    writeExact: (value) => join(known.whole ? exact(value) : significant(value, 6), unit),
  };
}

/** Returns what `describeMetric` does, of a choice of the space too. */
export function describeChoice(name, objectives = []) {
  if (name in KNOWN || LATENCY.test(name) || objectives.some((o) => o.name === name)) {
    return describeMetric(name, objectives);
  }
  const words = name.replaceAll(/[._]/g, " ");
  return { name, label: words[0].toUpperCase() + words.slice(1), unit: "" };
}

/** The bounds of the 90 % interval of a latency, or null: {lower, upper} as names of metrics. */
export function intervalOf(name) {
  const match = LATENCY.exec(name);
  if (!match || match[1]) return null;
  return { lower: `latency_lower_ms@${match[2]}`, upper: `latency_upper_ms@${match[2]}` };
}

/** Every metric that may be an axis, in reading order: quality, latencies, costs; of `also` the latencies too. */
export function axisNames(objectives, trials, also = []) {
  const names = new Set(objectives.map((o) => o.name));
  for (const name of also) if (name && LATENCY.test(name)) names.add(name);
  for (const trial of trials) for (const name of Object.keys(trial.metrics)) names.add(name);
  // Before there is any trial these are known all the same; only models that generate have the others
  for (const name of ORDER) if (!KNOWN[name].quality && !KNOWN[name].generating) names.add(name);
  return inOrder([...names].filter((name) => !isBound(name)));
}

/** Names sorted as a person expects them: quality first, then latency, then the exact costs. */
export function inOrder(names) {
  const rank = (name) => {
    if (LATENCY.test(name)) return 20;
    if (!(name in KNOWN)) return 10;
    return KNOWN[name].quality ? ORDER.indexOf(name) : 30 + ORDER.indexOf(name);
  };
  return [...names].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** Whether `name` is an end of an interval and not a figure of its own. */
export function isBound(name) {
  return Boolean(LATENCY.exec(name)?.[1]);
}

/** The device that a latency is of; null of any other metric. */
export function deviceOf(name) {
  return LATENCY.exec(name ?? "")?.[2] ?? null;
}

function describeLatency([, bound, device]) {
  const end = { lower_: ", lower bound", upper_: ", upper bound" }[bound] ?? "";
  return { label: `Latency on ${device}${end}`, unit: "ms" };
}

/** All costs are known here and a latency names its device: this is what an evaluator of a job's own returns. */
function describeOwn(name) {
  const words = name.replaceAll("_", " ");
  return { label: words[0].toUpperCase() + words.slice(1), unit: "", quality: true };
}

function join(text, unit) {
  return unit && text !== "–" ? `${text} ${unit}` : text;
}
