// What is known of one job: its summary, its trials and the front, loaded once and kept up to date by its events.
// Which trials are on the front is the server's answer; nothing here compares trials.

import { Asked } from "./asked.js";
import { get, getWithEvent, jobPath, post, remove } from "./api.js";
import { isFinal } from "./job_parts.js";
import { follow } from "./live.js";
import { notice } from "./notices.js";
import { deviceOf } from "./metrics.js";
import { throttled } from "./throttled.js";
import { TrialRecords } from "./trial_records.js";
import { TrialStore } from "./trial_store.js";

const DRAW_EVERY_MS = 150;
const FRONT_EVERY_MS = 1_000;

export class JobModel {
  job = null;
  /** All trials, with the figures that were wanted. */
  store = new TrialStore();
  allLoaded = false;
  connection = "open";
  /** The front under the job's own objectives, as trial numbers. */
  jobFront = { numbers: [], knee: null };
  /** How far the scores can be trusted, as the server reports it; null until it has told. */
  fidelity = null;
  /** The front under other axes: {key, numbers, knee, status, error}; null where the job's own is shown. */
  axesFront = null;
  #asked = new Set(); // names of the metrics that are there or on their way
  #refused = new Set();
  #features = false;
  /** Whether the server has told the front, be it empty. */
  hasFront = false;
  #frontCame = null;
  #front = new Promise((resolve) => (this.#frontCame = resolve));
  #open = null; // the lowest number of a trial whose predicted figures and choices are still to be asked for

  /** `changed()` is called after changes, at most every 150 ms; `connectionChanged(state)` at once. */
  constructor(id, changed, connectionChanged) {
    this.path = jobPath(id);
    this.tell = throttled(changed, DRAW_EVERY_MS);
    /** The records of the trials that were looked at. */
    this.records = new TrialRecords(this.path, () => this.tell());
    this.askRest = throttled(() => this.#loadRest(), FRONT_EVERY_MS);
    this.connectionChanged = connectionChanged;
    /** The best trial under every limit on a cost. */
    this.picks = new Asked(() => this.tell());
    /** The devices that the trials can be ranked for, and the front on the one that is shown beside. */
    this.devices = new Asked(() => this.tell());
    this.beside = new Asked(() => this.tell());
    this.growth = new Asked(() => this.tell());
    this.importance = new Asked(() => this.tell());
    this.askAxesFront = throttled(() => this.#loadAxesFront(), FRONT_EVERY_MS);
    this.askFidelity = throttled(() => this.#loadFidelity(), FRONT_EVERY_MS);
  }

  /** Loads the job, then its trials and front, and follows it until it ends. Rejects with ApiError. */
  async load() {
    const front = this.#loadFront(); // beside the job: of a large one either takes the server a while
    front.catch(() => {}); // heard of below
    this.job = await get(this.path);
    this.tell();
    const event = await front;
    this.hasFront = true;
    this.#frontCame();
    // From here on nothing is missed: what happened since the front was told comes as an event
    if (!isFinal(this.job)) this.#follow(event);
    this.tell.now();
    await this.want(this.job.objectives.map((o) => o.name));
    this.tell.now();
    this.askFidelity();
  }

  /** Has the server do what a person asks: pause, resume, cancel, retry, or finish with `body`. */
  async ask(action, body) {
    const event = isFinal(this.job) ? await this.#loadFront() : null;
    this.job = await post(`${this.path}/${action}`, body);
    if (event !== null && !isFinal(this.job)) this.#follow(event);
    this.tell();
  }

  /** Has the server delete the job. */
  async delete() {
    await remove(this.path);
    this.stream?.stop();
  }

  /** What the server has told of metrics: the job's objectives, and the axes that it was asked about. */
  get objectives() {
    return [...this.job.objectives, ...(this.axesFront?.objectives ?? [])];
  }

  /** Has these metrics of all trials loaded, and with `features` what was chosen; rejects with ApiError. */
  async want(names, features = false) {
    await this.#front; // which is to be seen first
    const missing = [...new Set(names)].filter((name) => !this.#asked.has(name) && !this.#refused.has(name));
    const choices = features && !this.#features;
    if (!missing.length && !choices) return;
    // Apart, since of a device that can't be predicted the server refuses the whole request
    const elsewhere = missing.filter((name) => this.#isPredicted(name));
    const own = missing.filter((name) => !this.#isPredicted(name));
    await Promise.all([
      (own.length || choices) && this.#ask(own, choices),
      elsewhere.length && this.#ask(elsewhere, false),
    ]);
  }

  async #ask(names, choices) {
    names.forEach((name) => this.#asked.add(name));
    this.#features ||= choices;
    try {
      await this.#loadColumns(names, choices);
    } catch (error) {
      // What the server does not know is not asked for again, what it could not say just now is
      names.forEach((name) => this.#asked.delete(name));
      if (error.status === 422) names.forEach((name) => this.#refused.add(name));
      if (choices) this.#features = false;
      throw error;
    }
    this.allLoaded = true;
    this.tell();
  }

  /** What is known of a trial: its record with the figures on the device that is shown; undefined, or null for none. */
  trial(number) {
    const record = this.records.get(number);
    if (!record) return record;
    const metrics = { ...record.metrics };
    for (const name of this.#predicted()) {
      const value = this.store.value(name, number);
      if (!Number.isNaN(value)) metrics[name] = value;
    }
    return { ...record, metrics };
  }

  /** The front to show for these axes; asks the server when they are not all objectives of the job. */
  frontFor(x, y) {
    const names = this.job.objectives.map((o) => o.name);
    if (names.includes(x) && names.includes(y)) {
      this.axesFront = null;
      return { ...this.jobFront, status: "ready", isJobs: true };
    }
    const key = `${y},${x}`;
    if (this.axesFront?.key !== key) {
      this.axesFront = { key, numbers: [], knee: null, status: "loading", error: null };
      this.#loadAxesFront();
    }
    return { ...this.axesFront, isJobs: false };
  }

  /** What the server knows of the picks by limit on a cost, see Asked; null without a cost. */
  picksFor(cost, quality) {
    if (!cost) return this.picks.of(null);
    const query = new URLSearchParams({ cost: cost.name, quality: quality.name });
    return this.picks.of(`${this.path}/front/picks?${query}`);
  }

  /** The front of a quality on another device as the server tells it, null while there is none. */
  frontBeside(x, y) {
    if (!x) return this.beside.of(null);
    return this.beside.of(`${this.path}/front?objectives=${encodeURIComponent(`${y},${x}`)}`).answer;
  }

  /** How the search came along, as Asked tells it: {growth, importance}. The second takes the server seconds. */
  searched() {
    return {
      growth: this.growth.of(`${this.path}/hypervolume`),
      importance: this.importance.of(`${this.path}/importance`),
    };
  }

  /** The devices that the server knows, see /devices; empty until it has told. */
  get knownDevices() {
    return this.devices.of(`${this.path}/devices`).answer?.devices ?? [];
  }

  #follow(event) {
    this.stream = follow(`${this.path}/events`, event, {
      job: (job) => {
        this.job = job;
        if (isFinal(job)) this.#lookAgain();
        this.askFidelity();
        this.tell();
      },
      trial: ({ trial, progress, front, knee }) => {
        this.records.put(trial);
        if (this.store.put(trial)) {
          this.#open = Math.min(this.#open ?? trial.number, trial.number);
          if (this.#features || this.#predicted().length) this.askRest();
        }
        if (!isFinal(this.job)) this.job = { ...this.job, progress };
        this.jobFront = { numbers: front, knee };
        if (trial.state === "complete") {
          this.askAxesFront();
          this.picks.again();
          this.beside.again();
          this.growth.again();
        }
        if (this.job.search_ended) this.askFidelity();
        this.tell();
      },
      connection: (state) => {
        this.connection = state;
        this.connectionChanged(state);
        this.tell();
      },
      refused: () => this.#lookAgain(),
    });
  }

  // After the job's last event, or without a stream: asks for what may have changed unheard
  async #lookAgain() {
    try {
      this.job = await get(this.path);
      await this.#loadFront();
      this.records.lookAgain();
      await this.#loadColumns([...this.#asked], this.#features);
      this.picks.again();
    } catch (error) {
      if (error.status === 404) this.#gone();
      return; // else the notice about the lost connection stands; the stream is tried again
    }
    if (isFinal(this.job)) {
      this.stream.stop();
      this.connection = "open";
      this.connectionChanged("open");
    }
    this.tell();
  }

  #gone() {
    this.stream.stop();
    this.connectionChanged("open");
    notice("action", "This job has been deleted. What you see of it is no longer on the server.");
  }

  async #loadColumns(names, features, after = -1) {
    const query = new URLSearchParams({ metrics: names.join() });
    if (features) query.set("features", "true");
    if (after >= 0) query.set("after", after);
    this.store.take(await get(`${this.path}/trials/columns?${query}`));
  }

  // An event tells of a trial without what is predicted for other devices, and its choices only as a whole
  async #loadRest() {
    const first = this.#open;
    this.#open = null;
    if (first === null) return;
    try {
      await this.#loadColumns(this.#predicted(), this.#features, first - 1);
    } catch {
      this.#open = Math.min(this.#open ?? first, first); // asked again with the next event
      return;
    }
    this.tell();
  }

  /** The metrics that are predicted for devices which are none of the job's. */
  #predicted() {
    return [...this.#asked].filter((name) => this.#isPredicted(name));
  }

  #isPredicted(name) {
    return deviceOf(name) !== null && !this.job.devices.includes(deviceOf(name));
  }

  async #loadFront() {
    const [front, event] = await getWithEvent(`${this.path}/front`);
    front.members.forEach((trial) => this.#keep(trial));
    this.jobFront = { numbers: front.members.map((trial) => trial.number), knee: front.knee };
    return event;
  }

  async #loadFidelity() {
    if (!this.job.search_ended && !isFinal(this.job)) return;
    try {
      this.fidelity = await get(`${this.path}/fidelity`);
    } catch {
      return; // what was told before stands; the next event asks again
    }
    this.tell();
  }

  async #loadAxesFront() {
    const wanted = this.axesFront;
    if (!wanted) return;
    try {
      const front = await get(`${this.path}/front?objectives=${encodeURIComponent(wanted.key)}`);
      front.members.forEach((trial) => this.#keep(trial));
      wanted.numbers = front.members.map((trial) => trial.number);
      wanted.knee = front.knee;
      wanted.objectives = front.objectives;
      wanted.status = "ready";
    } catch (error) {
      wanted.status = "error";
      wanted.error = error;
    }
    this.tell();
  }

  #keep(trial) {
    this.records.put(trial);
    this.store.put(trial);
  }
}
