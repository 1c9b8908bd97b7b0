// All trials of a job as columns: numbers, states, figures and what was chosen, each an array with one place a trial. A
// hundred thousand of them are a few megabytes, and are gone through in milliseconds.

export class TrialStore {
  numbers = [];
  states = [];
  reasons = []; // why one was skipped, or null
  feasible = [];
  /** By name of the metric; NaN for what a trial lacks. */
  metrics = new Map();
  /** By name of the choice: {options (null for a number), values}. */
  features = new Map();
  /** Grows with every change. */
  version = 0;
  #rows = new Map(); // number → place

  get size() {
    return this.numbers.length;
  }

  has(number) {
    return this.#rows.has(number);
  }

  /** The place of a trial in every column; undefined for one that is not known. */
  row(number) {
    return this.#rows.get(number);
  }

  /** The values of a figure or a choice, one a place; undefined for what is not there. */
  column(name) {
    return this.metrics.get(name) ?? this.features.get(name)?.values;
  }

  /** A figure of a trial, NaN where there is none. */
  value(name, number) {
    return this.metrics.get(name)?.[this.#rows.get(number)] ?? NaN;
  }

  /** What can be said of a trial without its record. */
  light(number) {
    const row = this.#rows.get(number);
    const metrics = {};
    for (const [name, values] of this.metrics) if (!Number.isNaN(values[row])) metrics[name] = values[row];
    return {
      number,
      state: this.states[row],
      skip_reason: this.reasons[row],
      feasible: this.feasible[row],
      metrics,
    };
  }

  /** How many layers a trial's architecture has, of all stacks; NaN until the features are there. */
  depth(number) {
    const row = this.#rows.get(number);
    let sum = NaN;
    for (const [name, { values }] of this.features)
      if (/(^|\.)layers$/.test(name)) sum = (Number.isNaN(sum) ? 0 : sum) + values[row];
    return sum;
  }

  /** Takes in an answer of /trials/columns. */
  take({ numbers, states, skip_reasons: reasons, infeasible, metrics, features }) {
    this.version += 1;
    const over = new Set(infeasible);
    const rows = numbers.map((number, i) => {
      const row = this.#rowFor(number);
      // What was asked for earlier may arrive after the event that ended a trial
      if (this.states[row] === null || this.states[row] === "running") {
        this.states[row] = states.options[states.codes[i]];
        this.reasons[row] = reasons.options[reasons.codes[i]] ?? null;
        this.feasible[row] = !over.has(number);
      }
      return row;
    });
    for (const [name, values] of Object.entries(metrics)) fill(this.#column(name), rows, values);
    for (const { name, options, values } of features ?? []) {
      if (!this.features.has(name)) this.features.set(name, { options, values: this.#unknown() });
      fill(this.features.get(name).values, rows, values);
    }
  }

  /** Takes in the record of one trial; returns whether it was not known before. */
  put(trial) {
    this.version += 1;
    const isNew = !this.#rows.has(trial.number);
    const row = this.#rowFor(trial.number);
    if (!isNew && this.states[row] !== "running" && trial.state === "running") return false;
    this.states[row] = trial.state;
    this.reasons[row] = trial.skip_reason;
    this.feasible[row] = trial.feasible;
    for (const [name, values] of this.metrics) if (name in trial.metrics) values[row] = trial.metrics[name];
    return isNew;
  }

  #column(name) {
    if (!this.metrics.has(name)) this.metrics.set(name, this.#unknown());
    return this.metrics.get(name);
  }

  #unknown() {
    return new Array(this.size).fill(NaN);
  }

  #rowFor(number) {
    const known = this.#rows.get(number);
    if (known !== undefined) return known;
    const row = this.size;
    this.#rows.set(number, row);
    this.numbers.push(number);
    this.states.push(null);
    this.reasons.push(null);
    this.feasible.push(true);
    for (const values of this.metrics.values()) values.push(NaN);
    for (const { values } of this.features.values()) values.push(NaN);
    return row;
  }
}

function fill(column, rows, values) {
  for (let i = 0; i < rows.length; i += 1) if (values[i] !== null) column[rows[i]] = values[i];
}
