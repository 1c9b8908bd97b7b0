// One thing that is asked of the server when somebody looks at it, and asked again when something has happened.

import { get } from "./api.js";
import { throttled } from "./throttled.js";

const EVERY_MS = 1_000;

export class Asked {
  /** What is known: {path, status: "loading" | "ready" | "error", answer, error}; null while nobody asks. */
  state = null;

  /** `changed()` is called when there is another answer. */
  constructor(changed) {
    this.changed = changed;
    this.again = throttled(() => this.#load(), EVERY_MS);
  }

  /** Returns what is known of `path`, and asks for it unless that was done; null: nothing is wanted. */
  of(path) {
    if (path === null) this.state = null;
    else if (this.state?.path !== path) {
      this.state = { path, status: "loading", answer: null, error: null };
      this.#load();
    }
    return this.state;
  }

  async #load() {
    const wanted = this.state;
    if (!wanted) return;
    try {
      wanted.answer = await get(wanted.path);
      wanted.status = "ready";
      wanted.error = null;
    } catch (error) {
      if (wanted.answer) return; // what was told before stands; the next event asks again
      wanted.status = "error";
      wanted.error = error;
    }
    if (wanted === this.state) this.changed();
  }
}
