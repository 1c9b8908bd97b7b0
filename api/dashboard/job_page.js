// One job: its head, the live front with its controls, the details of one trial, and the table. What is shown follows
// from two things only, the model (what the server said) and the view (what the address says).

import { axesOf, ChartControls } from "./chart_controls.js";
import { ChartDeadline } from "./chart_deadline.js";
import { drawKey } from "./chart_key.js";
import { h, show } from "./dom.js";
import { count } from "./format.js";
import { FidelityPanel } from "./fidelity_panel.js";
import { FrontChart } from "./front_chart.js";
import { HoverCard } from "./hover_card.js";
import { JobHeader } from "./job_header.js";
import { JobModel } from "./job_model.js";
import { isFinal, spokenProgress } from "./job_parts.js";
import { axisNames, describeMetric, intervalOf } from "./metrics.js";
import { announce, failure, notice } from "./notices.js";
import { TrialDetails } from "./trial_details.js";
import { TrialTable } from "./trial_table.js";
import { TrialTabs } from "./trial_tabs.js";
import { readView, writeView } from "./view_state.js";

export function jobPage(root, id) {
  document.title = `${id} · Pocketformer`;
  new JobPage(root, id).start();
}

class JobPage {
  #view = readView();
  #returnTo = null; // the trial whose row gets the keyboard back when the details close
  #chartFailed = false;
  #spoken = null;

  constructor(root, id) {
    this.root = root;
    this.id = id;
    this.model = new JobModel(
      id,
      () => this.draw(),
      (state) => this.#connectionChanged(state),
    );
    this.header = new JobHeader((action) => this.#ask(action));
    this.chart = new FrontChart(
      (number, box) => this.#hover(number, box),
      (number) => this.pick(number),
      () => this.deadline?.layOut(),
    );
    this.deadline = new ChartDeadline(this.chart, {
      chosen: (limit) => this.#change({ deadline: limit }, { replace: true }),
      picked: (number) => this.pick(number),
    });
    this.card = new HoverCard();
    this.details = new TrialDetails(
      () => this.pick(null),
      (number) => this.pick(number),
    );
    this.table = new TrialTable(
      (number) => this.pick(number),
      (sort) => this.#change({ sort }, { replace: true }),
    );
    this.controls = new ChartControls(
      (patch) => this.#change("x" in patch ? { ...patch, deadline: null } : patch),
      this.chart,
      () => this.chart.savePicture(`front-${id}`, this.deadline.inPicture()),
    );
    this.frontNote = h("p", { class: "front-note", role: "status" });
    this.key = h("ul", { class: "chart-key" });
    this.chartNote = h("p", { class: "chart-note", role: "status" }, "Loading trials…");
    this.fidelity = new FidelityPanel(
      (asked) => this.model.ask("finish", asked),
      (number) => this.pick(number),
    );
    this.tabs = new TrialTabs((rows) => this.#change({ rows }));
    window.addEventListener("popstate", () => {
      this.#view = readView();
      this.draw();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#view.trial !== null && !document.querySelector("dialog[open]"))
        this.pick(null);
    });
  }

  async start() {
    show(this.root, h("p", { class: "loading" }, "Loading the job…"));
    try {
      await this.model.load();
    } catch (error) {
      if (!this.model.job) show(this.root, this.#notLoaded(error));
      else
        notice("trials", `${error.message} Not every trial is shown.`, {
          label: "Try again",
          run: () => location.reload(),
        });
    }
  }

  pick(number) {
    const before = this.#view.trial;
    this.#change({ trial: number });
    if (number !== null) {
      this.#returnTo = document.activeElement?.closest?.("tr[data-trial]") ? number : null;
      this.details.element.focus({ preventScroll: true });
    } else if (before !== null && this.#returnTo !== null) {
      this.table.focusRow(this.#returnTo);
    }
  }

  draw() {
    const { job } = this.model;
    if (!job) return;
    if (!this.header.element.isConnected) this.#build();
    document.title = `${titleProgress(job)}${job.name} · Pocketformer`;
    this.header.draw(job, this.model);
    this.#speak(job);

    const names = axisNames(job.objectives, this.model.trials.values());
    const [x, y] = axesOf(this.#view, job, names).map((name) => describeMetric(name, this.model.objectives));
    const front = this.model.frontFor(x.name, y.name);
    const members = new Set(front.numbers);
    const trials = [...this.model.trials.values()]
      .sort((a, b) => a.number - b.number)
      .map((trial) => ({
        ...trial,
        on_front: members.has(trial.number),
        dropped: trial.state === "running" && isFinal(job),
      }));
    this.knee = front.knee;
    this.shown = new Map(trials.map((trial) => [trial.number, trial]));

    this.controls.draw({ names, x, y, job, view: this.#view });
    this.#drawChart(trials, { x, y, front, job });
    this.#drawNote(front);
    this.#drawDeadline(x, y, front);
    this.#drawTable(trials, { x, y, front, job });
    this.fidelity.draw(job, this.model.fidelity);
    const chosen = this.#view.trial;
    this.details.draw({
      ties: this.model.fidelity?.ties ?? [],
      trial: this.shown.get(chosen ?? front.knee),
      job,
      isKnee: (chosen ?? front.knee) === front.knee,
      isChosen: chosen !== null,
    });
  }

  #build() {
    show(
      this.root,
      this.header.element,
      h(
        "div",
        { class: "job-body" },
        h(
          "section",
          { class: "front-panel", "aria-labelledby": "front-title" },
          h("div", { class: "section-head" }, h("h2", { id: "front-title" }, "Front"), this.controls.element),
          this.frontNote,
          this.deadline.element,
          h(
            "div",
            { class: "chart-place" },
            this.chart.element,
            this.deadline.marks,
            this.chartNote,
            this.card.element,
          ),
          h("div", { class: "chart-foot" }, this.key, this.controls.buttons),
        ),
        this.details.element,
        this.fidelity.element,
        h(
          "section",
          { class: "rows", "aria-labelledby": "rows-title" },
          h("div", { class: "section-head" }, h("h2", { id: "rows-title" }, "Trials"), this.tabs.element),
          this.table.element,
        ),
      ),
    );
  }

  #drawChart(trials, { x, y, front, job }) {
    const { log, feasible } = this.#view;
    const drawn = trials.filter(
      (trial) =>
        trial.skip_reason !== "duplicate" &&
        trial.state !== "failed" &&
        [x, y].every(({ name }) => Number.isFinite(trial.metrics[name]) && trial.state !== "running"),
    );
    const points = {
      front: front.numbers.map((number) => drawn.find((trial) => trial.number === number)).filter(Boolean),
      dominated: drawn.filter((trial) => !trial.on_front && trial.feasible && trial.state !== "stopped"),
      stopped: drawn.filter((trial) => trial.feasible && trial.state === "stopped"),
      infeasible: feasible ? [] : drawn.filter((trial) => !trial.on_front && !trial.feasible),
    };
    const empty = Object.values(points).every((trials) => !trials.length);
    this.chartNote.textContent = empty ? whyEmpty(job, this.model.allLoaded) : "";
    this.chartNote.hidden = !empty;
    drawKey(this.key, {
      points,
      knee: front.knee,
      hasPick: Boolean(this.model.picks.state?.answer?.picks.length),
      hasLimits: job.constraints.some((c) => c.metric === x.name || c.metric === y.name),
      hasInterval: [x, y].some(({ name }) => intervalOf(name)),
    });
    if (this.#chartFailed) return;
    this.chart
      .draw({
        x,
        y,
        points,
        knee: front.knee,
        selected: this.#view.trial,
        log,
        constraints: job.constraints,
        // Of more than two objectives the front is no line in a plane
        joined: !front.isJobs || job.objectives.length === 2,
      })
      .catch((error) => {
        this.#chartFailed = true;
        this.chartNote.hidden = false;
        this.chartNote.textContent = error.message;
      });
  }

  #drawNote(front) {
    const back = h(
      "button",
      { type: "button", class: "link", click: () => this.#change({ x: null, y: null }) },
      "Back to the job’s objectives",
    );
    const texts = {
      loading: "Asking the server for the front of these two axes…",
      ready: `The front of these two axes, within the job’s limits: ${count(front.numbers.length, "trial")}. `,
      error: `There is no front of these two axes: ${front.error?.message} `,
    };
    const key = front.isJobs ? "" : `${front.status}${texts[front.status]}`;
    if (this.frontNote.dataset.key === key) return;
    this.frontNote.dataset.key = key;
    this.frontNote.hidden = front.isJobs;
    show(this.frontNote, ...(front.isJobs ? [] : [texts[front.status], front.status !== "loading" && back]));
  }

  // What is paid is limited, and the other axis is to be best; two qualities have no price
  #drawDeadline(x, y, front) {
    const [cost, quality] = !x.quality ? [x, y] : !y.quality ? [y, x] : [null, null];
    this.deadline.draw({
      cost,
      quality,
      axis: cost === x ? "x" : "y",
      limit: this.#view.deadline,
      asked: this.model.picksFor(cost, quality),
      knee: this.shown.get(front.knee) ?? null,
    });
  }

  #drawTable(trials, { x, y, front, job }) {
    const all = this.#view.rows === "all";
    this.tabs.draw(this.#view.rows, front.numbers.length, trials.length, this.model.allLoaded);
    this.table.draw({
      trials: all
        ? trials.filter((trial) => !this.#view.feasible || trial.feasible)
        : front.numbers.map((number) => this.shown.get(number)).filter(Boolean),
      job,
      axes: [x.name, y.name],
      withState: all,
      sort: this.#view.sort ?? (all ? "number" : x.name),
      selected: this.#view.trial,
      knee: front.knee,
      emptyText: whyEmpty(job, this.model.allLoaded),
    });
  }

  #change(patch, options) {
    this.#view = { ...this.#view, ...patch };
    writeView(this.#view, options);
    this.draw();
  }

  #hover(number, box) {
    const trial = number === null ? null : this.shown.get(number);
    if (trial) this.card.show(trial, this.model.job.objectives, number === this.knee, box);
    else this.card.hide();
  }

  async #ask(action) {
    if (action !== "delete") return this.model.ask(action);
    await this.model.delete();
    location.assign("/");
  }

  #connectionChanged(state) {
    notice(
      "connection",
      state === "lost"
        ? "The connection to the server is lost. What you see may be out of date; trying again…"
        : null,
    );
  }

  #speak(job) {
    const text = spokenProgress(job);
    if (this.#spoken !== null && this.#spoken !== text) announce(text);
    this.#spoken = text;
  }

  #notLoaded(error) {
    const head = h("h1", {}, error.status === 404 ? "No such job" : "The job could not be loaded");
    const back = h("p", {}, h("a", { href: "/" }, "See all jobs"));
    if (error.status !== 404) return [head, failure(error, () => this.start()), back];
    document.title = "No such job · Pocketformer";
    return [
      head,
      failure({
        message:
          `This server knows no job ${this.id}. The address may be mistyped, or the job belongs to ` +
          "another database.",
      }),
      back,
    ];
  }
}

function whyEmpty(job, allLoaded) {
  if (!allLoaded) return "Loading trials…";
  if (job.state === "queued") return "The job waits for a worker.";
  if (isFinal(job)) return "No trial has both figures.";
  return "The first candidates are in training; points appear here as they are done.";
}

function titleProgress(job) {
  return isFinal(job) ? "" : `${job.progress.evaluated}/${job.progress.budget} `;
}
