// What a new job begins with: a job that could be submitted as it stands, on what this service has.

import { setDataset } from "./job_draft.js";

const SHARED = ["search_space", "dataset", "device", "batch", "input_length", "output_length"];
const LENGTHS = ["batch", "input_length", "output_length"];

/** Returns {like, search_space, dataset, devices, workload} of the address; what it doesn't say is null. */
export function readAddress() {
  const given = new URLSearchParams(location.search);
  const workload = {};
  for (const name of LENGTHS)
    if (/^\d{1,5}$/.test(given.get(name) ?? "")) workload[name] = Number(given.get(name));
  return {
    like: given.get("like"),
    search_space: given.get("search_space"),
    dataset: given.get("dataset"),
    devices: given.getAll("device"),
    workload,
  };
}

/** Puts what is worth sharing of a draft into the address. */
export function writeAddress(draft, like) {
  const parameters = new URLSearchParams();
  if (like) parameters.set("like", like);
  const shared = {
    search_space: [draft.search_space],
    dataset: [draft.task?.dataset],
    device: draft.devices ?? [],
    ...Object.fromEntries(LENGTHS.map((name) => [name, [draft.workload?.[name]]])),
  };
  for (const name of SHARED) {
    for (const value of shared[name]) {
      if (typeof value === "string" || typeof value === "number") parameters.append(name, value);
    }
  }
  const query = parameters.toString().replaceAll("%40", "@");
  history.replaceState(null, "", location.pathname + (query && `?${query}`));
}

/** Returns a copy of another job's document to begin with. */
export function likeJob(job) {
  const draft = structuredClone(job.document);
  draft.name = `${job.name.slice(0, 190)} again`;
  return draft;
}

/** Returns a draft for what the address asks for, completed by what there is. */
export function newDraft({ spaces, datasets, devices }, asked) {
  const space = spaces.find((one) => one.name === asked.search_space);
  const dataset =
    datasets.find((one) => one.name === asked.dataset) ??
    datasets.find((one) => space && one.family === space.family) ??
    datasets.find((one) => hasTable(devices, spaces, one)) ??
    datasets[0];
  const draft = { name: "", search_space: "", task: {}, workload: {} };
  if (!dataset) return draft;
  setDataset(draft, dataset);
  const fitting = spaces.filter((one) => one.family === dataset.family);
  const known = asked.devices.filter((name) => devices.some((one) => one.name === name));
  const device =
    devices.find((one) => one.name === known[0]) ??
    devices.find((one) => one.tables.some((table) => fitting.some((s) => s.name === table.space)));
  // Of a space that the address names and the dataset does not fit, the server says so by its field
  const measured = [...(device?.tables ?? [])]
    .reverse()
    .find((table) => (space ? table.space === space.name : fitting.some((s) => s.name === table.space)));
  draft.search_space = asked.search_space ?? measured?.space ?? fitting[0]?.name ?? "";
  draft.workload = { ...(measured ? readWorkload(measured.workload) : usualWorkload(dataset)), ...asked.workload };
  const chosen = known.length ? known : device && measured ? [device.name] : [];
  if (chosen.length) draft.devices = chosen;
  draft.objectives = [draft.task.metric, chosen.length ? `latency_ms@${chosen[0]}` : "macs"];
  draft.task.training = { steps: 200 };
  draft.budget = { trials: 30 };
  return draft;
}

/** "batch=1,input_length=64,output_length=0" as the workload that it names. */
export function readWorkload(key) {
  const workload = Object.fromEntries(
    key.split(",").map((part) => {
      const [name, value] = part.split("=");
      return [name, Number(value)];
    }),
  );
  if (!workload.output_length) delete workload.output_length;
  return workload;
}

/** The lengths that nine of ten examples of the dataset keep, at most 128. */
export function usualWorkload(dataset) {
  const length = (percentiles) => Math.min(128, Math.max(1, percentiles?.["90"] ?? 64));
  const workload = { batch: 1, input_length: length(dataset.length_percentiles) };
  if (dataset.family === "decoder") Object.assign(workload, { input_length: 96, output_length: 16 });
  if (dataset.family === "encoder-decoder") workload.output_length = length(dataset.output_length_percentiles);
  return workload;
}

function hasTable(devices, spaces, dataset) {
  const names = spaces.filter((space) => space.family === dataset.family).map((space) => space.name);
  return devices.some((device) => device.tables.some((table) => names.includes(table.space)));
}
