// The head of a job's page: what it is, how far it is, what it was asked for, and what can be asked of it now.

import { h, setText, show } from "./dom.js";
import { share } from "./format.js";
import { JobActions } from "./job_actions.js";
import { isFinal, progressBar, stateBadge, timeLeft, when } from "./job_parts.js";
import { describeMetric } from "./metrics.js";

export class JobHeader {
  element = h("div", { class: "job-head" });
  #state = h("span", { class: "job-state" });
  #link = h("span", { class: "connection", role: "status" });
  #about = h("p", { class: "job-about" });
  #reason = h("p", { class: "job-reason", hidden: true });
  #progress = h("div", { class: "job-progress" });
  #figures = h("dl", { class: "job-figures" });
  #asked = h("dl", { class: "job-asked" });
  #title = h("h1", {});
  #again = h("a", { class: "job-again" }, "Submit one like it");
  #keys = new Map();

  /** `ask(action)` has the server do what a person asks of the job, see `JobActions`. */
  constructor(ask) {
    this.actions = new JobActions(ask);
    show(
      this.element,
      h(
        "nav",
        { "aria-label": "Breadcrumb", class: "crumbs" },
        h("a", { href: "/" }, "Jobs"),
        this.#again,
      ),
      h("div", { class: "job-title" }, this.#title, this.#state, this.#link, this.actions.element),
      this.#about,
      this.#reason,
      h("div", { class: "job-numbers" }, this.#progress, this.#figures),
      this.#asked,
      Object.values(this.actions.dialogs).map((dialog) => dialog.element),
    );
  }

  /** Draws the summary of the job; `connection` is "open" or "lost". */
  draw(job, { connection }) {
    setText(this.#title, job.name);
    this.#again.href = `/new?like=${encodeURIComponent(job.id)}`;
    const state = stateOf(job);
    this.#part("state", [job.state, state], () => show(this.#state, stateBadge(job.state, state)));
    this.actions.draw(job);
    setText(this.#link, isFinal(job) ? "" : connection === "lost" ? "connection lost, trying again" : "live");
    this.#link.dataset.state = connection;
    this.#part("about", [when(job.created_at).textContent, job.finished_at], () =>
      show(this.#about, aboutOf(job)),
    );
    const reason = job.reason ?? WAITS[job.state] ?? "";
    setText(this.#reason, reason);
    this.#reason.hidden = !reason;
    this.#reason.classList.toggle("is-failure", job.state === "failed");
    this.#part("progress", [job.progress, job.state], () => {
      show(this.#progress, progressBar(job));
      show(this.#figures, figuresOf(job));
    });
    this.#part("asked", [job.constraints], () => show(this.#asked, askedOf(job)));
  }

  #part(name, values, draw) {
    const key = JSON.stringify(values);
    if (this.#keys.get(name) === key) return;
    this.#keys.set(name, key);
    draw();
  }
}

const WAITS = {
  queued: "Waits for a worker. If none runs, start one: nas worker",
  paused: "Paused: nothing is trained until somebody resumes it.",
};

function stateOf(job) {
  if (isFinal(job)) return job.state;
  if (job.cancel_requested) return "cancelling…";
  return job.pause_requested ? "pausing…" : job.state;
}

function aboutOf(job) {
  const { batch, input_length: input } = job.workload;
  const parts = [
    job.search_space,
    job.dataset,
    job.devices.join(", "),
    `batch ${batch}, ${input} tokens`,
    `${job.sampler}, seed ${job.seed}`,
  ];
  return [
    parts.filter(Boolean).map((part) => h("span", {}, part)),
    h("span", {}, "created ", when(job.created_at)),
    h("code", {}, job.id),
  ];
}

function figuresOf(job) {
  const { progress } = job;
  const volume = progress.hypervolume;
  const rows = [
    ["On the front", String(progress.front_size), "front_size"],
    [
      "Hypervolume",
      share(volume ?? NaN),
      "hypervolume",
      "share of the room between the worst and the best point of the objectives that the front dominates, 0 to 1",
    ],
    ["Time left", timeLeft(job) || null, "time_left"],
    [
      "Skipped, duplicate",
      String(progress.skipped.duplicate),
      "duplicate",
      "proposed again, so not trained again",
    ],
    [
      "Skipped, over limit",
      String(progress.skipped.over_limit),
      "over_limit",
      "known to break a limit, so never trained",
    ],
    [
      "Known already",
      progress.recalled ? String(progress.recalled) : null,
      "recalled",
      "evaluations saved: an earlier job trained the same in the same way",
    ],
    [
      "Stopped early",
      progress.stopped ? String(progress.stopped) : null,
      "stopped",
      "scored after a short training; others of their cohort went on",
    ],
    ["Failed", String(progress.failed), "failed"],
    [
      "Trained in full",
      progress.finish ? `${progress.finish.complete} / ${progress.finish.trainings}` : null,
      "finish",
      "trainings of the front and of a sample after the search, with several seeds",
    ],
    ["In training", isFinal(job) ? null : String(progress.running), "running"],
  ];
  return rows
    .filter(([, text]) => text !== null)
    .map(([title, text, name, hint]) =>
      h("div", { title: hint }, h("dt", {}, title), h("dd", { "data-figure": name }, text)),
    );
}

function askedOf(job) {
  const objectives = job.objectives.map((o) => {
    const metric = describeMetric(o.name, job.objectives);
    return h("li", {}, o.direction === "maximize" ? "highest " : "lowest ", h("strong", {}, metric.label));
  });
  const limits = job.constraints.map((c) => {
    const metric = describeMetric(c.metric, job.objectives);
    return h(
      "li",
      {},
      metric.label,
      ` ${c.operator === "<=" ? "≤" : "≥"} `,
      h("strong", {}, metric.writeLimit(c.limit)),
    );
  });
  return [
    h("div", {}, h("dt", {}, "Objectives"), h("dd", {}, h("ul", {}, objectives))),
    h("div", {}, h("dt", {}, "Limits"), h("dd", {}, limits.length ? h("ul", {}, limits) : "none")),
  ];
}
