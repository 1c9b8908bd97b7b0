// The view that the address holds: ?x=&y=&beside=&log=&feasible=&deadline=&brush=&drag=&trial=&rows=&sort=. Back,
// forward, reload and sharing keep it.

import { readRanges, writeRanges } from "./selection.js";

const DEFAULTS = {
  x: null,
  y: null,
  beside: null,
  log: "",
  feasible: false,
  deadline: null,
  brush: null,
  drag: "zoom",
  trial: null,
  rows: "front",
  sort: null,
};

/** Returns the view of the present address; what can't be read is the default. */
export function readView() {
  const given = new URLSearchParams(location.search);
  const log = given.get("log") ?? "";
  const trial = given.get("trial");
  return {
    x: given.get("x"),
    y: given.get("y"),
    beside: given.get("beside"),
    log: ["x", "y", "xy"].includes(log) ? log : "",
    feasible: given.get("feasible") === "1",
    deadline: positive(given.get("deadline")),
    brush: writeRanges(readRanges(given.get("brush"))),
    drag: ["select", "lasso"].includes(given.get("drag")) ? given.get("drag") : "zoom",
    trial: trial !== null && /^\d{1,9}$/.test(trial) ? Number(trial) : null,
    rows: given.get("rows") === "all" ? "all" : "front",
    sort: given.get("sort"),
  };
}

/** Puts the view into the address; `replace` leaves no step for the back button. */
export function writeView(view, { replace = false } = {}) {
  const parameters = new URLSearchParams();
  for (const [name, byDefault] of Object.entries(DEFAULTS)) {
    const value = view[name];
    if (value === byDefault || value === null || value === undefined) continue;
    parameters.set(name, value === true ? "1" : String(value));
  }
  // Readable: these are fine in a query
  const query = parameters.toString().replaceAll("%40", "@").replaceAll("%7E", "~").replaceAll("%3B", ";");
  const address = location.pathname + (query && `?${query}`);
  if (address === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
}

function positive(text) {
  const value = text === null ? NaN : Number(text);
  return Number.isFinite(value) && value > 0 ? value : null;
}
