// Which trials the chart shows, and as what: arrays for the chart's program. It sorts by state and by the server's word.

import { intervalOf } from "./metrics.js";

const SHOWN = new Set(["complete", "stopped", "skipped"]);

/**
 * Returns {front, dominated, stopped, infeasible, dimmed, beside}, each {numbers, x, y}: every trial of the store that
 * has both figures, and the members of a front `beside` ({x, y (names), members}, or null). `front` keeps the order of
 * `numbers`, and has `bounds` and who is `faint`; with `feasible` what is over a limit is left out; with `chosen` (a
 * test of places, or null) what is not chosen is dimmed.
 */
export function pointsOf(store, { x, y, numbers, feasible, chosen, record, beside }) {
  const names = ["beside", "front", "dominated", "stopped", "infeasible", "dimmed"];
  const groups = Object.fromEntries(names.map((name) => [name, group()]));
  const [xs, ys] = [x, y].map(({ name }) => store.metrics.get(name) ?? []);
  const members = new Set(numbers);
  for (let row = 0; row < store.size; row += 1) {
    const state = store.states[row];
    const shown = SHOWN.has(state) && store.reasons[row] !== "duplicate";
    if (!shown || !Number.isFinite(xs[row]) || !Number.isFinite(ys[row])) continue;
    const number = store.numbers[row];
    if (members.has(number)) continue;
    if (!store.feasible[row] && feasible) continue;
    const kind = !store.feasible[row] ? "infeasible" : state === "stopped" ? "stopped" : "dominated";
    add(chosen && !chosen(row) ? groups.dimmed : groups[kind], number, xs[row], ys[row]);
  }
  for (const number of numbers) {
    const metrics = record(number)?.metrics ?? {};
    const at = [x, y].map(({ name }) => metrics[name] ?? store.value(name, number));
    if (at.every(Number.isFinite)) add(groups.front, number, ...at);
  }
  for (const { number, metrics } of beside?.members ?? [])
    add(groups.beside, number, metrics[beside.x], metrics[beside.y]);
  groups.front.faint = groups.front.numbers.map((number) => Boolean(chosen) && !chosen(store.row(number)));
  groups.front.bounds = { x: boundsOf(groups.front, x, record), y: boundsOf(groups.front, y, record) };
  return groups;
}

/** The two figures of one trial as a group; empty where it lacks one. */
export function pointOf(store, number, x, y, record) {
  const one = group();
  const metrics = record(number)?.metrics ?? {};
  const at = [x, y].map(({ name }) => metrics[name] ?? store.value(name, number));
  if (number !== null && number !== undefined && at.every(Number.isFinite)) add(one, number, ...at);
  return one;
}

function boundsOf({ numbers }, metric, record) {
  const names = intervalOf(metric.name);
  if (!names) return null;
  const ends = ["lower", "upper"].map((end) => numbers.map((number) => record(number)?.metrics[names[end]]));
  return ends.flat().every(Number.isFinite) ? { lower: ends[0], upper: ends[1] } : null;
}

function group() {
  return { numbers: [], x: [], y: [] };
}

function add({ numbers, x, y }, number, atX, atY) {
  numbers.push(number);
  x.push(atX);
  y.push(atY);
}
