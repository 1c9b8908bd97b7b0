// Which jobs of the list are chosen, to compare their fronts.

import { h, show } from "./dom.js";

const MOST = 6; // as many as the server compares

export class JobChoice {
  element = h("span", { class: "job-choice", role: "status" });
  #chosen = new Map(); // id → its box, in the order of choosing

  /** Returns the check box of a job's row. */
  box(job) {
    const box = h("input", { type: "checkbox", "aria-label": `Choose ${job.name} to compare` });
    box.checked = this.#chosen.has(job.id);
    if (box.checked) this.#chosen.set(job.id, box);
    box.addEventListener("change", () => {
      if (box.checked) this.#chosen.set(job.id, box);
      else this.#chosen.delete(job.id);
      this.#draw();
    });
    return box;
  }

  /** Lets go of jobs that are no longer there. */
  keep(jobs) {
    const gone = [...this.#chosen.keys()].filter((id) => !jobs.has(id));
    for (const id of gone) this.#chosen.delete(id);
    if (gone.length) this.#draw();
  }

  #draw() {
    const ids = [...this.#chosen.keys()];
    const clear = h("button", { type: "button", class: "quiet", click: () => this.#clear() }, "Clear");
    show(
      this.element,
      ids.length === 1 && ["Choose another job to compare it with. ", clear],
      ids.length > 1 &&
        ids.length <= MOST && [
          h(
            "a",
            { class: "button", href: `/compare?jobs=${ids.map(encodeURIComponent)}` },
            `Compare ${ids.length} jobs`,
          ),
          clear,
        ],
      ids.length > MOST && [`At most ${MOST} jobs can be compared. `, clear],
    );
  }

  #clear() {
    for (const box of this.#chosen.values()) box.checked = false;
    this.#chosen.clear();
    this.#draw();
  }
}
