// One job: its head, the live front with its controls, the details of one trial, and the table. What is shown follows
// from two things only, the model (what the server said) and the view (what the address says).

import { axesOf, ChartControls } from "./chart_controls.js";
import { ChartDeadline } from "./chart_deadline.js";
import { drawKey } from "./chart_key.js";
import { pointOf, pointsOf } from "./chart_points.js";
import { h, show } from "./dom.js";
import { count } from "./format.js";
import { FidelityPanel } from "./fidelity_panel.js";
import { FrontChart } from "./front_chart.js";
import { HoverCard } from "./hover_card.js";
import { JobHeader } from "./job_header.js";
import { JobModel } from "./job_model.js";
import { isFinal, spokenProgress } from "./job_parts.js";
import { axisNames, describeMetric, deviceOf, intervalOf } from "./metrics.js";
import { announce, failure, notice } from "./notices.js";
import { TABLE_COSTS } from "./trial_columns.js";
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
      (patch) => this.#change(patch),
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

    const view = this.#view;
    const names = axisNames(job.objectives, this.model.records.all(), [view.x, view.y]);
    const [x, y] = axesOf(view, job, names).map((name) => describeMetric(name, this.model.objectives));
    const front = this.model.frontFor(x.name, y.name);
    this.members = new Set(front.numbers);
    this.knee = front.knee;
    this.#want([...withBounds(x.name, y.name, job), ...TABLE_COSTS]);

    this.controls.draw({ names, x, y, job, view, devices: this.model.knownDevices });
    this.#drawChart({ x, y, front, job });
    this.#drawNote(front);
    this.#drawDeadline(x, y, front);
    this.#drawTable({ x, y, front, job });
    this.fidelity.draw(job, this.model.fidelity);
    const shown = view.trial ?? front.knee;
    this.details.draw({
      ties: this.model.fidelity?.ties ?? [],
      trial: shown === null ? null : this.#trial(shown),
      job,
      isKnee: shown === front.knee,
      isChosen: view.trial !== null,
      device: [x, y].map(({ name }) => deviceOf(name)).find((name) => name && !job.devices.includes(name)),
    });
    if (shown !== null) this.model.records.ask(shown);
  }

  /** What is known of a trial as it stands in what is shown; undefined while it is asked for, null for none. */
  #trial(number) {
    const record = this.model.trial(number);
    return record && this.#inFront(record);
  }

  #inFront(trial) {
    const dropped = trial.state === "running" && isFinal(this.model.job);
    return { ...trial, on_front: this.members.has(trial.number), dropped };
  }

  async #want(names) {
    try {
      await this.model.want(names);
    } catch (error) {
      notice("trials", `${error.message} Not every trial is shown.`);
    }
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

  #drawChart({ x, y, front, job }) {
    const { log, feasible } = this.#view;
    const { store } = this.model;
    const beside = this.#beside(x, y);
    const record = (number) => this.model.trial(number);
    const points = pointsOf(store, { x, y, numbers: front.numbers, feasible, chosen: null, record, beside });
    const empty = Object.values(points).every((group) => !group.numbers.length);
    this.chartNote.textContent = empty ? whyEmpty(job, this.model.allLoaded) : "";
    this.chartNote.hidden = !empty;
    drawKey(this.key, {
      points,
      knee: front.knee,
      beside: this.#view.beside,
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
        at: (number) => pointOf(store, number, x, y, record),
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

  // The front on another device, in place of that on the device of the one axis that is a latency
  #beside(x, y) {
    const latency = [x, y].find(({ name }) => deviceOf(name));
    const name = latency && this.#view.beside ? `latency_ms@${this.#view.beside}` : null;
    const other = latency === x ? y.name : x.name;
    const answer = this.model.frontBeside(name, other);
    return answer && { x: latency === x ? name : other, y: latency === x ? other : name, members: answer.members };
  }

  #drawNote(front) {
    const back = h(
      "button",
      { type: "button", class: "link", click: () => this.#change({ x: null, y: null }) },
      "Back to the job’s objectives",
    );
    const texts = {
      loading: "Asking the server for the front of these two axes…",
      ready: `The front of these two axes, within the job’s limits: ${count(front.numbers.length, "trial")}. ${this.#predictedBy(front)}`,
      error: `There is no front of these two axes: ${front.error?.message} `,
    };
    const key = front.isJobs ? "" : `${front.status}${texts[front.status]}`;
    if (this.frontNote.dataset.key === key) return;
    this.frontNote.dataset.key = key;
    this.frontNote.hidden = front.isJobs;
    show(this.frontNote, ...(front.isJobs ? [] : [texts[front.status], front.status !== "loading" && back]));
  }

  #predictedBy({ objectives }) {
    const names = (objectives ?? []).map(({ name }) => deviceOf(name));
    const device = this.model.knownDevices.find(({ name, recorded }) => !recorded && names.includes(name));
    if (!device) return "";
    return `Latency on ${device.name} is predicted from version ${device.table_version} of its table, without new trials. `;
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
      knee: front.knee === null ? null : (this.#trial(front.knee) ?? null),
    });
  }

  #drawTable({ x, y, front, job }) {
    const all = this.#view.rows === "all";
    const { store, records } = this.model;
    this.tabs.draw(this.#view.rows, front.numbers.length, store.size, this.model.allLoaded);
    const kept = (number) => !this.#view.feasible || store.feasible[store.row(number)];
    this.table.draw({
      numbers: all ? store.numbers.filter(kept) : front.numbers.filter((number) => store.has(number)),
      store,
      trial: (number) => this.#inFront(this.model.trial(number) ?? store.light(number)),
      wanted: (numbers) => numbers.forEach((number) => records.ask(number)),
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

  async #hover(number, box) {
    this.hovered = number;
    if (number === null) return this.card.hide();
    await this.model.records.ask(number);
    const trial = this.#trial(number);
    if (trial && this.hovered === number) this.card.show(trial, this.model.job.objectives, number === this.knee, box);
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

/** These metrics and, of a latency on a device that is none of the job's, the ends of its interval. */
function withBounds(x, y, job) {
  const ends = [x, y].filter((name) => deviceOf(name) && !job.devices.includes(deviceOf(name))).map(intervalOf);
  return [x, y, ...ends.filter(Boolean).flatMap(({ lower, upper }) => [lower, upper])];
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
