// The job that a form is about: its document, changed field by field. What no field shows stays as it came.

/** Returns what stands at a path such as "task.training.steps", or undefined. */
export function valueAt(draft, path) {
  return path.split(".").reduce((inner, name) => inner?.[name], draft);
}

/** Puts `value` at the path; undefined takes the field away, and with it a mapping that it leaves empty. */
export function put(draft, path, value) {
  const [name, ...rest] = path.split(".");
  if (rest.length) {
    const inner = typeof draft[name] === "object" && draft[name] !== null ? draft[name] : {};
    put(inner, rest.join("."), value);
    draft[name] = Object.keys(inner).length ? inner : undefined;
  } else {
    draft[name] = value;
  }
  if (draft[name] === undefined) delete draft[name];
}

const ORDER = [
  "name",
  "search_space",
  "task",
  "workload",
  "devices",
  "objectives",
  "constraints",
  "budget",
  "promotion",
  "finish",
  "start",
  "memory",
  "sampler",
  "seed",
  "priority",
];

/** The document in the order in which a person reads a job, however it was filled in. */
export function inOrder(draft) {
  const names = Object.keys(draft);
  const known = ORDER.filter((name) => names.includes(name));
  return Object.fromEntries(
    [...known, ...names.filter((n) => !ORDER.includes(n))].map((name) => [name, draft[name]]),
  );
}

/** What a person typed as the document has it: a number where it is one, else the text, for the server to judge. */
export function typed(text, kind) {
  const trimmed = text.trim();
  if (kind === "text") return text;
  if (trimmed === "") return undefined;
  const number = Number(trimmed.replace(/(?<=\d),(?=\d{3}\b)/g, ""));
  return Number.isFinite(number) ? number : trimmed;
}

/** "parameters <= 5e6" as {metric, operator, limit}; null for what isn't written so. */
export function readLimit(text) {
  const match = /^\s*([^\s<>=]+)\s*(<=|>=)\s*(.*?)\s*$/.exec(text);
  return match && { metric: match[1], operator: match[2], limit: match[3] };
}

/** Sets, or with an empty text takes away, the limit of a metric; the others keep their order. */
export function setLimit(draft, metric, operator, limit) {
  const limits = draft.constraints ?? [];
  const index = limits.findIndex((text) => readLimit(text)?.metric === metric);
  const text = `${metric} ${operator} ${limit.trim().replace(/(?<=\d),(?=\d{3}\b)/g, "")}`;
  const next = [...limits];
  if (!limit.trim()) next.splice(index, index < 0 ? 0 : 1);
  else if (index < 0) next.push(text);
  else next[index] = text;
  put(draft, "constraints", next.length ? next : undefined);
}

/** Sets whether a metric is an objective; quality comes first, the rest in the order of choosing. */
export function setObjective(draft, metric, chosen) {
  const others = (draft.objectives ?? []).filter((name) => name !== metric);
  if (chosen && metric === draft.task?.metric) draft.objectives = [metric, ...others];
  else draft.objectives = chosen ? [...others, metric] : others;
}

/** Sets the devices; objectives and limits on one that is gone go with it. */
export function setDevices(draft, devices) {
  const gone = (draft.devices ?? []).filter((name) => !devices.includes(name));
  const stays = (metric) => !gone.some((device) => metric?.endsWith(`@${device}`));
  put(draft, "devices", devices.length ? devices : undefined);
  draft.objectives = (draft.objectives ?? []).filter(stays);
  const limits = (draft.constraints ?? []).filter((text) => stays(readLimit(text)?.metric));
  put(draft, "constraints", limits.length ? limits : undefined);
}

/** Sets the dataset with its usual metric in place of the one before. */
export function setDataset(draft, dataset) {
  const before = draft.task?.metric;
  const metric = dataset.metrics.includes(before) ? before : dataset.metrics[0];
  draft.task = { ...draft.task, dataset: dataset.name, metric };
  draft.objectives = (draft.objectives ?? []).map((name) => (name === before ? metric : name));
  if (metric !== before && draft.constraints) {
    const limits = draft.constraints.filter((text) => readLimit(text)?.metric !== before);
    put(draft, "constraints", limits.length ? limits : undefined);
  }
}
