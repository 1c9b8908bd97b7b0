// What a person can ask of a job, as the buttons of its state. What can't be taken back is asked twice.

import { h, show } from "./dom.js";
import { count } from "./format.js";
import { isFinal } from "./job_parts.js";
import { announce, notice } from "./notices.js";

/** What can be asked now, in the order of the buttons. */
function allowed(job) {
  const pausing = job.state === "paused" || job.pause_requested;
  if (isFinal(job)) return job.state === "succeeded" ? ["delete"] : ["retry", "delete"];
  if (job.cancel_requested) return [];
  return [pausing ? "resume" : "pause", "cancel", ...(job.state === "paused" ? ["delete"] : [])];
}

const LABELS = {
  pause: "Pause",
  resume: "Resume",
  retry: "Try again",
  cancel: "Cancel job",
  delete: "Delete job",
};
const SPOKEN = {
  pause: "Pausing the job",
  resume: "The job goes on",
  retry: "The search goes on",
  cancel: "Cancelling the job",
  delete: "The job is deleted",
};

export class JobActions {
  element = h("div", { class: "job-actions" });
  #shown = null;

  /** `ask(action)` has the server do it; what it throws is shown where the person asked for it. */
  constructor(ask) {
    this.ask = async (action) => {
      await ask(action);
      announce(SPOKEN[action]);
    };
    this.dialogs = {
      cancel: confirmation("Cancel this job?", "Keep it running", "Cancel the job", "Cancelling…", () =>
        this.ask("cancel"),
      ),
      delete: confirmation("Delete this job?", "Keep it", "Delete the job", "Deleting…", () => this.ask("delete")),
    };
  }

  draw(job) {
    this.job = job;
    const actions = allowed(job);
    if (this.#shown === actions.join()) return;
    this.#shown = actions.join();
    show(this.element, actions.map((action) => this.#button(action)));
  }

  #button(action) {
    const dialog = this.dialogs[action];
    const button = h("button", { type: "button", class: dialog ? "danger" : "" }, LABELS[action]);
    button.addEventListener("click", async () => {
      if (dialog) {
        dialog.open(TEXTS[action](this.job));
        return;
      }
      button.disabled = true;
      try {
        await this.ask(action);
        notice("action", null);
      } catch (error) {
        notice("action", error.message);
      } finally {
        button.disabled = false;
      }
    });
    return button;
  }
}

const TEXTS = {
  cancel: (job) =>
    `${count(job.progress.evaluated, "evaluated candidate")} and the front stay. Candidates in training are dropped` +
    (job.search_ended ? "; what was trained in full stays." : ". Later the search can be tried again from there."),
  delete: (job) =>
    `${count(job.progress.evaluated, "evaluated candidate")}, the front, the weights and the history are removed ` +
    "for good.",
};

/** A dialog that asks before `run` does what can't be taken back, and says what kept it from being done. */
function confirmation(question, keepLabel, label, doing, run) {
  const text = h("p", {});
  const problem = h("p", { class: "dialog-problem", role: "alert" });
  const keep = h("button", { type: "button", click: () => element.close() }, keepLabel);
  const go = h("button", { type: "button", class: "danger", click: confirmed }, label);
  const id = `confirm-${label.toLowerCase().replaceAll(" ", "-")}`;
  const element = h(
    "dialog",
    { "aria-labelledby": id },
    h("h2", { id }, question),
    text,
    problem,
    h("p", { class: "buttons" }, keep, go),
  );
  return { element, open };

  function open(consequence) {
    text.textContent = consequence;
    problem.textContent = "";
    element.showModal();
    keep.focus();
  }

  async function confirmed() {
    go.disabled = true;
    go.textContent = doing;
    try {
      await run();
      element.close();
    } catch (error) {
      problem.textContent = error.message;
    } finally {
      go.disabled = false;
      go.textContent = label;
    }
  }
}
