// The pieces of a job that both pages show.

import { h } from "./dom.js";
import { ago, count, duration, moment } from "./format.js";

const FINAL = ["succeeded", "failed", "cancelled"];

export function isFinal(job) {
  return FINAL.includes(job.state);
}

/** The state as text with a coloured dot. */
export function stateBadge(state, text = state) {
  return h("span", { class: `state state-${state.replace(/[^a-z]/g, "")}` }, text);
}

/** Evaluated of budget, as bar and text. */
export function progressBar(job) {
  const { evaluated, budget } = job.progress;
  return h(
    "div",
    { class: "progress" },
    h("progress", { value: evaluated, max: Math.max(1, budget), "aria-label": `Progress of ${job.name}` }),
    h("span", { class: "number" }, `${evaluated} / ${budget}`),
  );
}

export function timeLeft(job) {
  if (isFinal(job)) return "";
  if (job.state === "queued" || job.state === "paused") return "–";
  const seconds = job.progress.time_left_s;
  return seconds === null || seconds === undefined ? "not known yet" : duration(seconds);
}

/** "3 min ago" with the exact moment as its title. */
export function when(iso) {
  return iso ? h("time", { datetime: iso, title: moment(iso) }, ago(iso)) : "–";
}

/** One sentence for screen readers. */
export function spokenProgress(job) {
  const { evaluated, budget, front_size: front } = job.progress;
  return `${job.name}: ${job.state}, ${evaluated} of ${count(budget, "candidate")} evaluated, ${front} on the front`;
}

/** Why there is no point or row. */
export function whyEmpty(job, allLoaded) {
  if (!allLoaded) return "Loading trials…";
  if (job.state === "queued") return "The job waits for a worker.";
  if (isFinal(job)) return "No trial has both figures.";
  return "The first candidates are in training; points appear here as they are done.";
}
