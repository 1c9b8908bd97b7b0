// Which trials the chart shows, and as what: arrays for the chart's program. It sorts by state and by the server's word.

import { intervalOf } from "./metrics.js";

const SHOWN = new Set(["complete", "stopped", "skipped"]);
const KINDS = ["nowhere", "dominated", "stopped", "infeasible", "dimmed"];
const DIMMED = KINDS.indexOf("dimmed");

/** The points of one chart. What does not change from one step of a brush to the next is kept. */
export class ChartPoints {
  #kinds = { key: null, of: new Uint8Array(0) };

  /**
   * Returns {front, dominated, stopped, infeasible, dimmed, beside}, each {numbers, x, y}: every trial of the store that
   * has both figures, and the members of a front `beside` ({x, y (names), members}, or null). `front` keeps the order of
   * `numbers`, and has `bounds` and who is `faint`; with `feasible` what is over a limit is left out; with `chosen` (1
   * at the place of a trial that is, or null) what is not chosen is dimmed.
   */
  of(store, { x, y, numbers, feasible, chosen, record, beside }) {
    const [xs, ys] = [x, y].map(({ name }) => store.metrics.get(name) ?? []);
    const groups = columns(store.numbers, xs, ys, this.#kindsOf(store, { x, y, xs, ys, numbers, feasible }), chosen);
    groups.front = pointsOf(numbers, (number) => placeOf(store, number, x, y, record));
    groups.front.faint = groups.front.numbers.map((number) => chosen !== null && chosen[store.row(number)] !== 1);
    groups.front.bounds = { x: boundsOf(groups.front, x, record), y: boundsOf(groups.front, y, record) };
    const there = new Map(beside?.members.map(({ number, metrics }) => [number, [metrics[beside.x], metrics[beside.y]]]));
    groups.beside = pointsOf([...there.keys()], (number) => there.get(number));
    return groups;
  }

  #kindsOf(store, { x, y, xs, ys, numbers, feasible }) {
    const key = JSON.stringify([store.version, x.name, y.name, feasible, numbers]);
    if (key !== this.#kinds.key) this.#kinds = { key, of: kindsOf(store, xs, ys, new Set(numbers), feasible) };
    return this.#kinds.of;
  }
}

/** The two figures of one trial as a group; empty where it lacks one. */
export function pointOf(store, number, x, y, record) {
  const numbers = number === null || number === undefined ? [] : [number];
  return pointsOf(numbers, () => placeOf(store, number, x, y, record));
}

// What each trial is drawn as: its place in KINDS. Members of the front are drawn apart
function kindsOf(store, xs, ys, members, feasibleOnly) {
  const kinds = new Uint8Array(store.size);
  for (let row = 0; row < kinds.length; row += 1) {
    const state = store.states[row];
    const shown = SHOWN.has(state) && store.reasons[row] !== "duplicate";
    if (!shown || !Number.isFinite(xs[row]) || !Number.isFinite(ys[row])) continue;
    if (members.has(store.numbers[row]) || (feasibleOnly && !store.feasible[row])) continue;
    kinds[row] = KINDS.indexOf(!store.feasible[row] ? "infeasible" : state === "stopped" ? "stopped" : "dominated");
  }
  return kinds;
}

// Arrays of the length that they need: to let a hundred thousand values grow one by one takes longer than all the rest
function columns(numbers, xs, ys, kinds, chosen) {
  const sizes = new Array(KINDS.length).fill(0);
  const drawnAs = (row) => (kinds[row] && chosen !== null && chosen[row] !== 1 ? DIMMED : kinds[row]);
  for (let row = 0; row < kinds.length; row += 1) sizes[drawnAs(row)] += 1;
  const ends = sizes.map(() => 0);
  sizes[0] = 0;
  const groups = sizes.map((size) => ({
    numbers: new Int32Array(size),
    x: new Float64Array(size),
    y: new Float64Array(size),
  }));
  for (let row = 0; row < kinds.length; row += 1) {
    const kind = drawnAs(row);
    if (!kind) continue;
    const [group, at] = [groups[kind], ends[kind]];
    group.numbers[at] = numbers[row];
    group.x[at] = xs[row];
    group.y[at] = ys[row];
    ends[kind] = at + 1;
  }
  return Object.fromEntries(KINDS.map((name, kind) => [name, groups[kind]]).slice(1));
}

function pointsOf(numbers, place) {
  const points = numbers.map((number) => [number, ...place(number)]).filter((point) => point.every(Number.isFinite));
  const [there, x, y] = [0, 1, 2].map((part) => points.map((point) => point[part]));
  return { numbers: there, x, y };
}

function placeOf(store, number, x, y, record) {
  const metrics = record(number)?.metrics ?? {};
  return [x, y].map(({ name }) => metrics[name] ?? store.value(name, number));
}

function boundsOf({ numbers }, metric, record) {
  const names = intervalOf(metric.name);
  if (!names) return null;
  const ends = ["lower", "upper"].map((end) => numbers.map((number) => record(number)?.metrics[names[end]]));
  return ends.flat().every(Number.isFinite) ? { lower: ends[0], upper: ends[1] } : null;
}
