// The records of the trials that somebody looks at, asked for by their numbers, several at a time.

import { get } from "./api.js";

const SOON_MS = 15;
const AT_ONCE = 200;
const KEPT = 5_000;

export class TrialRecords {
  #known = new Map();
  #absent = new Set();
  #wanted = new Map(); // number → [resolve, …]
  #timer = null;

  /** `arrived()` is called when there are more. */
  constructor(path, arrived) {
    this.path = path;
    this.arrived = arrived;
  }

  /** The record of a trial, undefined while it is not known, null for one that there is not. */
  get(number) {
    return this.#absent.has(number) ? null : this.#known.get(number);
  }

  all() {
    return this.#known.values();
  }

  put(trial) {
    const known = this.#known.get(trial.number);
    if (known && known.state !== "running" && trial.state === "running") return;
    this.#absent.delete(trial.number);
    this.#known.delete(trial.number); // so that what was told last is forgotten last
    this.#known.set(trial.number, trial);
    if (this.#known.size > KEPT) this.#known.delete(this.#known.keys().next().value);
  }

  /** Asks for the record of a trial that is not known yet; resolves with it, or with null. */
  ask(number) {
    const known = this.get(number);
    if (known !== undefined) return Promise.resolve(known);
    this.#timer ??= setTimeout(() => this.#load(), SOON_MS);
    return new Promise((resolve) => {
      this.#wanted.set(number, [...(this.#wanted.get(number) ?? []), resolve]);
    });
  }

  /** Forgets that something was absent: by now it may be there. */
  lookAgain() {
    this.#absent.clear();
  }

  async #load() {
    this.#timer = null;
    const wanted = [...this.#wanted].slice(0, AT_ONCE);
    wanted.forEach(([number]) => this.#wanted.delete(number));
    if (this.#wanted.size) this.#timer = setTimeout(() => this.#load(), SOON_MS);
    try {
      const page = await get(`${this.path}/trials?numbers=${wanted.map(([number]) => number).join()}`);
      page.trials.forEach((trial) => this.put(trial));
      wanted.forEach(([number]) => this.#known.has(number) || this.#absent.add(number));
    } catch {
      // Whoever looks again asks again; a server that can't be reached is told of elsewhere
    }
    wanted.forEach(([number, waiting]) => waiting.forEach((resolve) => resolve(this.get(number) ?? null)));
    this.arrived();
  }
}
