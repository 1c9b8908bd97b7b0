// What is known of one job: its summary, its trials and the front, loaded once and kept up to date by its events.
// Which trials are on the front is the server's answer; nothing here compares trials.

import { Asked } from "./asked.js";
import { get, getWithEvent, jobPath, post, remove } from "./api.js";
import { isFinal } from "./job_parts.js";
import { follow } from "./live.js";
import { notice } from "./notices.js";
import { throttled } from "./throttled.js";

const PAGE = 500;
const DRAW_EVERY_MS = 150;
const FRONT_EVERY_MS = 1_000;

export class JobModel {
  job = null;
  trials = new Map();
  allLoaded = false;
  connection = "open";
  /** The front under the job's own objectives, as trial numbers. */
  jobFront = { numbers: [], knee: null };
  /** How far the scores can be trusted, as the server reports it; null until it has told. */
  fidelity = null;
  /** The front under other axes: {key, numbers, knee, status, error}; null where the job's own is shown. */
  axesFront = null;

  /** `changed()` is called after changes, at most every 150 ms; `connectionChanged(state)` at once. */
  constructor(id, changed, connectionChanged) {
    this.path = jobPath(id);
    this.tell = throttled(changed, DRAW_EVERY_MS);
    this.connectionChanged = connectionChanged;
    /** The best trial under every limit on a cost. */
    this.picks = new Asked(() => this.tell());
    this.askAxesFront = throttled(() => this.#loadAxesFront(), FRONT_EVERY_MS);
    this.askFidelity = throttled(() => this.#loadFidelity(), FRONT_EVERY_MS);
  }

  /** Loads the job, then its trials and front, and follows it until it ends. Rejects with ApiError. */
  async load() {
    this.job = await get(this.path);
    this.tell();
    const event = await this.#loadFront();
    // From here on nothing is missed: what happened since the front was told comes as an event
    if (!isFinal(this.job)) this.#follow(event);
    this.tell();
    await this.#loadTrials(-1);
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

  #follow(event) {
    this.stream = follow(`${this.path}/events`, event, {
      job: (job) => {
        this.job = job;
        if (isFinal(job)) this.#lookAgain();
        this.askFidelity();
        this.tell();
      },
      trial: ({ trial, progress, front, knee }) => {
        this.#keep(trial);
        if (!isFinal(this.job)) this.job = { ...this.job, progress };
        this.jobFront = { numbers: front, knee };
        if (trial.state === "complete") {
          this.askAxesFront();
          this.picks.again();
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
      await this.#loadTrials(this.#firstOpen() - 1);
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

  async #loadTrials(after) {
    do {
      const page = await get(`${this.path}/trials?after=${after}&limit=${PAGE}`);
      page.trials.forEach((trial) => this.#keep(trial));
      after = page.next_after;
      this.tell();
    } while (after !== null && after !== undefined);
    this.allLoaded = true;
    this.tell();
  }

  // Trials before this number are all known and final, so they need not be asked for again
  #firstOpen() {
    if (!this.allLoaded) return 0;
    let number = 0;
    while (this.trials.has(number) && this.trials.get(number).state !== "running") number += 1;
    return number;
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

  // A page that was asked for earlier may arrive after the event that ended a trial
  #keep(trial) {
    const known = this.trials.get(trial.number);
    if (known && known.state !== "running" && trial.state === "running") return;
    this.trials.set(trial.number, trial);
  }
}
