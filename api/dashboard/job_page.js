// One job: its head, the live front with its controls, the details of one trial, and the table. What is shown follows
// from two things only, the model (what the server said) and the view (what the address says).

import { post } from "./api.js";
import { h, show } from "./dom.js";
import { count } from "./format.js";
import { FrontChart } from "./front_chart.js";
import { HoverCard } from "./hover_card.js";
import { JobHeader } from "./job_header.js";
import { JobModel } from "./job_model.js";
import { isFinal, spokenProgress } from "./job_parts.js";
import { axisNames, describeMetric } from "./metrics.js";
import { announce, failure, notice } from "./notices.js";
import { TrialDetails } from "./trial_details.js";
import { TrialTable } from "./trial_table.js";
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
    this.model = new JobModel(id, () => this.draw(), (state) => this.#connectionChanged(state));
    this.header = new JobHeader(() => this.#cancel());
    this.chart = new FrontChart((number, box) => this.#hover(number, box), (number) => this.pick(number));
    this.card = new HoverCard();
    this.details = new TrialDetails(() => this.pick(null), (number) => this.pick(number));
    this.table = new TrialTable((number) => this.pick(number), (sort) => this.#change({ sort }, { replace: true }));
    this.controls = new Controls((patch) => this.#change(patch), this.chart, id);
    this.frontNote = h("p", { class: "front-note", role: "status" });
    this.key = h("ul", { class: "chart-key" });
    this.chartNote = h("p", { class: "chart-note", role: "status" }, "Loading trials…");
    this.tabs = new Tabs((rows) => this.#change({ rows }));
    window.addEventListener("popstate", () => {
      this.#view = readView();
      this.draw();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#view.trial !== null && !document.querySelector("dialog[open]")) this.pick(null);
    });
  }

  async start() {
    show(this.root, h("p", { class: "loading" }, "Loading the job…"));
    try {
      await this.model.load();
    } catch (error) {
      if (!this.model.job) show(this.root, this.#notLoaded(error));
      else notice("trials", `${error.message} Not every trial is shown.`, { label: "Try again", run: () => location.reload() });
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
    this.header.draw(job, this.model.connection);
    this.#speak(job);

    const names = axisNames(job.objectives, this.model.trials.values());
    const [x, y] = this.#axes(job, names).map((name) => describeMetric(name, job.objectives));
    const front = this.model.frontFor(x.name, y.name);
    const members = new Set(front.numbers);
    const trials = [...this.model.trials.values()].sort((a, b) => a.number - b.number)
      .map((trial) => ({ ...trial, on_front: members.has(trial.number) }));
    this.shown = new Map(trials.map((trial) => [trial.number, trial]));

    this.controls.draw({ names, x, y, job, view: this.#view });
    this.#drawChart(trials, { x, y, front, job });
    this.#drawNote(front, job);
    this.#drawTable(trials, { x, y, front, job });
    const chosen = this.#view.trial;
    this.details.draw({
      trial: this.shown.get(chosen ?? front.knee),
      job,
      isKnee: (chosen ?? front.knee) === front.knee,
      isChosen: chosen !== null,
    });
  }

  #build() {
    show(this.root, this.header.element,
      h("div", { class: "job-body" },
        h("section", { class: "front-panel", "aria-labelledby": "front-title" },
          h("div", { class: "section-head" }, h("h2", { id: "front-title" }, "Front"), this.controls.element),
          this.frontNote,
          h("div", { class: "chart-place" }, this.chart.element, this.chartNote, this.card.element),
          h("div", { class: "chart-foot" }, this.key, this.controls.buttons)),
        this.details.element,
        h("section", { class: "rows", "aria-labelledby": "rows-title" },
          h("div", { class: "section-head" }, h("h2", { id: "rows-title" }, "Trials"), this.tabs.element), this.table.element)));
  }

  // The last objective is what is paid, the first what is bought
  #axes(job, names) {
    const objectives = job.objectives.map((o) => o.name);
    const known = (name) => (names.includes(name) ? name : null);
    const y = known(this.#view.y) ?? (this.#view.x === objectives[0] ? objectives.at(-1) : objectives[0]);
    const x = known(this.#view.x) ?? (y === objectives.at(-1) ? objectives[0] : objectives.at(-1));
    return x === y ? [names.find((name) => name !== y), y] : [x, y];
  }

  #drawChart(trials, { x, y, front, job }) {
    const { log, feasible } = this.#view;
    const drawn = trials.filter((trial) => trial.skip_reason !== "duplicate" && trial.state !== "failed"
      && [x, y].every(({ name }) => Number.isFinite(trial.metrics[name]) && trial.state !== "running"));
    const points = {
      front: front.numbers.map((number) => drawn.find((trial) => trial.number === number)).filter(Boolean),
      dominated: drawn.filter((trial) => !trial.on_front && trial.feasible),
      infeasible: feasible ? [] : drawn.filter((trial) => !trial.on_front && !trial.feasible),
    };
    const empty = !points.front.length && !points.dominated.length && !points.infeasible.length;
    this.chartNote.textContent = empty ? whyEmpty(job, this.model.allLoaded) : "";
    this.chartNote.hidden = !empty;
    drawKey(this.key, points, front.knee, job.constraints.length > 0);
    if (this.#chartFailed) return;
    this.chart.draw({
      x, y, points, knee: front.knee, selected: this.#view.trial, log, constraints: job.constraints,
      // Of more than two objectives the front is no line in a plane
      joined: !front.isJobs || job.objectives.length === 2,
    }).catch((error) => {
      this.#chartFailed = true;
      this.chartNote.hidden = false;
      this.chartNote.textContent = error.message;
    });
  }

  #drawNote(front, job) {
    const back = h("button", { type: "button", class: "link", click: () => this.#change({ x: null, y: null }) },
      "Back to the job’s objectives");
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
    if (job.objectives.length > 2) this.frontNote.title = "of the job’s objectives only the two shown are compared";
  }

  #drawTable(trials, { x, y, front, job }) {
    const all = this.#view.rows === "all";
    this.tabs.draw(this.#view.rows, front.numbers.length, trials.length, this.model.allLoaded);
    this.table.draw({
      trials: all ? trials.filter((trial) => !this.#view.feasible || trial.feasible)
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
    if (trial) this.card.show(trial, this.model.job.objectives, number === this.model.frontFor(...this.#shownAxes()).knee, box);
    else this.card.hide();
  }

  #shownAxes() {
    return this.#axes(this.model.job, axisNames(this.model.job.objectives, this.model.trials.values()));
  }

  async #cancel() {
    this.model.job = await post(`${this.model.path}/cancel`);
    announce("Cancelling the job");
    this.draw();
  }

  #connectionChanged(state) {
    notice("connection", state === "lost"
      ? "The connection to the server is lost. What you see may be out of date; trying again…" : null);
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
    return [head, failure({ message: `This server knows no job ${this.id}. The address may be mistyped, or the job belongs to `
      + "another database." }), back];
  }
}

class Controls {
  element = h("div", { class: "controls" });
  #names = "";

  constructor(changed, chart, id) {
    this.y = h("select", { change: () => changed(this.#axisPatch("y")) });
    this.x = h("select", { change: () => changed(this.#axisPatch("x")) });
    this.logX = check("log x", () => changed({ log: this.#log() }));
    this.logY = check("log y", () => changed({ log: this.#log() }));
    this.feasible = check("feasible only", () => changed({ feasible: this.feasible.input.checked }));
    this.buttons = h("span", { class: "chart-buttons" },
      h("button", { type: "button", class: "quiet", click: () => chart.resetZoom() }, "Reset zoom"),
      h("button", { type: "button", class: "quiet", click: () => chart.savePicture(`front-${id}`) }, "Save SVG"));
    show(this.element,
      h("label", { class: "axis" }, h("span", {}, "Y", h("span", { class: "visually-hidden" }, " axis")), this.y), h("label", { class: "axis" }, h("span", {}, "X", h("span", { class: "visually-hidden" }, " axis")), this.x),
      this.logY.element, this.logX.element, this.feasible.element);
  }

  draw({ names, x, y, job, view }) {
    const key = names.join();
    if (key !== this.#names) {
      this.#names = key;
      for (const select of [this.x, this.y]) {
        show(select, names.map((name) => h("option", { value: name }, describeMetric(name, job.objectives).label)));
      }
    }
    [this.defaultY, this.defaultX] = [job.objectives[0].name, job.objectives.at(-1).name];
    [this.shownX, this.shownY] = [x.name, y.name];
    this.x.value = x.name;
    this.y.value = y.name;
    this.logX.input.checked = view.log.includes("x");
    this.logY.input.checked = view.log.includes("y");
    this.feasible.input.checked = view.feasible;
  }

  // Choosing for one axis what the other shows swaps the two
  #axisPatch(axis) {
    let [x, y] = [this.x.value, this.y.value];
    if (x === y) [x, y] = axis === "x" ? [x, this.shownX] : [this.shownY, y];
    return x === this.defaultX && y === this.defaultY ? { x: null, y: null } : { x, y };
  }

  #log() {
    return (this.logX.input.checked ? "x" : "") + (this.logY.input.checked ? "y" : "");
  }
}

class Tabs {
  constructor(changed) {
    const button = (rows) => h("button", { type: "button", click: () => changed(rows) });
    this.buttons = { front: button("front"), all: button("all") };
    this.element = h("div", { class: "tabs", role: "group", "aria-label": "Which trials" }, Object.values(this.buttons));
  }

  draw(rows, members, trials, allLoaded) {
    this.buttons.front.textContent = `On the front (${members})`;
    this.buttons.all.textContent = `All trials (${trials}${allLoaded ? "" : "…"})`;
    for (const [name, button] of Object.entries(this.buttons)) button.setAttribute("aria-pressed", String(name === rows));
  }
}

function check(label, changed) {
  const input = h("input", { type: "checkbox", change: changed });
  return { input, element: h("label", { class: "check" }, input, label) };
}

function drawKey(element, points, knee, hasLimits) {
  const rows = [
    ["front", `front (${points.front.length})`],
    ["dominated", `dominated (${points.dominated.length})`],
    points.infeasible.length && ["infeasible", `over a limit (${points.infeasible.length})`],
    knee !== null && points.front.length && ["knee", "knee"],
    hasLimits && ["limit", "beyond a limit"],
  ].filter(Boolean);
  const key = JSON.stringify(rows);
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  show(element, rows.map(([name, text]) => h("li", {}, h("span", { class: `mark mark-${name}`, "aria-hidden": "true" }), text)));
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
