// One job: its head, the live front with its controls, the details of one trial, and the table. What is shown follows
// from two things only, the model (what the server said) and the view (what the address says).

import { axesOf } from "./chart_controls.js";
import { h, show } from "./dom.js";
import { FidelityPanel } from "./fidelity_panel.js";
import { FrontPanel } from "./front_panel.js";
import { JobHeader } from "./job_header.js";
import { JobModel } from "./job_model.js";
import { isFinal, spokenProgress } from "./job_parts.js";
import { axisNames, describeMetric, deviceOf, intervalOf } from "./metrics.js";
import { announce, failure, notice } from "./notices.js";
import { ParallelAxes } from "./parallel_axes.js";
import { SearchPanel } from "./search_panel.js";
import { readRanges, selectionOf, writeRanges } from "./selection.js";
import { SelectionBar } from "./selection_bar.js";
import { TABLE_COSTS } from "./trial_columns.js";
import { TrialDetails } from "./trial_details.js";
import { TrialsPanel } from "./trials_panel.js";
import { readView, writeView } from "./view_state.js";

export function jobPage(root, id) {
  document.title = `${id} · Pocketformer`;
  new JobPage(root, id).start();
}

class JobPage {
  #view = readView();
  #returnTo = null; // the trial whose row gets the keyboard back when the details close
  #shape = null; // a lasso in the chart: {x, y (names), points}
  #brushing = null; // ranges while one of them is being drawn
  #frame = null;
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
    this.front = new FrontPanel(this.model, id, {
      changed: (patch, options) => this.#change(patch, options),
      picked: (number) => this.pick(number),
      selected: (drawn, x, y) => this.#selected(drawn, x, y),
    });
    this.details = new TrialDetails(
      () => this.pick(null),
      (number) => this.pick(number),
    );
    this.search = new SearchPanel(() => this.draw());
    this.trials = new TrialsPanel(this.model, id, {
      changed: (patch, options) => this.#change(patch, options),
      picked: (number) => this.pick(number),
    });
    this.selection = new SelectionBar(
      (name) => this.#drop(name),
      () => this.#drop(),
    );
    this.parallel = new ParallelAxes(
      () => this.#want([], true),
      (name, range, isDone) => this.#brush(name, range, isDone),
    );
    this.fidelity = new FidelityPanel(
      (asked) => this.model.ask("finish", asked),
      (number) => this.pick(number),
    );
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
      this.trials.table.focusRow(this.#returnTo);
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
    const { store } = this.model;
    const names = axisNames(job.objectives, this.model.records.all(), [view.x, view.y]);
    const [x, y] = axesOf(view, job, names).map((name) => describeMetric(name, this.model.objectives));
    const front = this.model.frontFor(x.name, y.name);
    this.members = new Set(front.numbers);
    const ranges = this.#brushing ?? readRanges(view.brush);
    const ranged = Object.keys(ranges);
    const isChoice = (name) => !names.includes(name);
    this.#want([...TABLE_COSTS, ...ranged.filter((name) => !isChoice(name))], ranged.some(isChoice));
    this.#want(withBounds(x.name, y.name, job));
    const selection = selectionOf(store, ranges, this.#shape);
    const trial = (number) => this.#trial(number);

    this.front.draw({ job, names, x, y, front, view, trial, selection });
    this.selection.draw({ selection, ranges, shape: this.#shape, store, objectives: job.objectives });
    this.trials.draw({ job, x, y, front, view, selection, members: this.members, inFront: (t) => this.#inFront(t) });
    this.fidelity.draw(job, this.model.fidelity);
    const searched = this.search.element.open ? this.model.searched() : { growth: null, importance: null };
    this.search.draw({ ...searched, job });
    const shown = view.trial ?? front.knee;
    this.details.draw({
      ties: this.model.fidelity?.ties ?? [],
      trial: shown === null ? null : trial(shown),
      job,
      isKnee: shown === front.knee,
      isChosen: view.trial !== null,
      device: [x, y].map(({ name }) => deviceOf(name)).find((name) => name && !job.devices.includes(name)),
    });
    if (shown !== null) this.model.records.ask(shown);
    // It looks where things are, so what can move them comes before
    const brushing = { ranges, selection, isBrushed: this.#brushing !== null };
    this.parallel.draw({ store, members: this.members, objectives: job.objectives, ...brushing });
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

  async #want(names, features = false) {
    try {
      await this.model.want(names, features);
    } catch (error) {
      notice("trials", `${error.message} Not every trial is shown.`, { label: "Close", run: () => notice("trials") });
    }
  }

  #build() {
    show(
      this.root,
      h("a", { class: "skip", href: "#rows-title" }, "Skip to the trials"),
      this.header.element,
      h(
        "div",
        { class: "job-body" },
        h("div", { class: "front-column" }, this.front.element, this.selection.element, this.parallel.element),
        this.details.element,
        h("div", { class: "below-column" }, this.fidelity.element, this.search.element),
        this.trials.element,
      ),
    );
  }

  // A box is a range on each axis, and so a part of the address; a lasso is not
  #selected({ box, lasso }, x, y) {
    if (lasso) {
      this.#shape = { x, y, points: lasso };
      this.draw();
      return;
    }
    const sorted = ([a, b]) => [Math.min(a, b), Math.max(a, b)];
    this.#change({ brush: this.#ranges({ [x]: sorted(box.x), [y]: sorted(box.y) }) }, { replace: true });
  }

  #brush(name, range, isDone) {
    if (isDone) {
      this.#brushing = null;
      this.#change({ brush: this.#ranges({ [name]: range }) }, { replace: true });
      return;
    }
    this.#brushing = { ...readRanges(this.#view.brush), [name]: range };
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      this.draw();
    });
  }

  #ranges(patch) {
    const ranges = { ...readRanges(this.#view.brush), ...patch };
    return writeRanges(Object.fromEntries(Object.entries(ranges).filter(([, range]) => range)));
  }

  // One range by its name, the lasso (null), or everything
  #drop(name) {
    if (name === undefined || name === null) this.#shape = null;
    const brush = name === undefined ? null : this.#ranges({ [name]: null });
    this.#change({ brush }, { replace: true });
  }

  #change(patch, options) {
    if ("x" in patch || "y" in patch) notice("trials", null); // it told of the axes before
    this.#view = { ...this.#view, ...patch };
    writeView(this.#view, options);
    this.draw();
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

function titleProgress(job) {
  return isFinal(job) ? "" : `${job.progress.evaluated}/${job.progress.budget} `;
}
