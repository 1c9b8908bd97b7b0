// The page that submits a job: the form, beside it the same job as a file, checked by the server while it is written.

import { ApiError, get, jobPath, post } from "./api.js";
import { h, show } from "./dom.js";
import { count } from "./format.js";
import { likeJob, newDraft, readAddress, writeAddress } from "./job_defaults.js";
import { inOrder } from "./job_draft.js";
import { JobForm } from "./job_form.js";
import { JobPreview } from "./job_preview.js";
import { announce, failure } from "./notices.js";

const CHECK_AFTER_MS = 300;

export async function newJobPage(root) {
  document.title = "New job · Pocketformer";
  show(root, h("p", { class: "loading" }, "Loading spaces, datasets and devices…"));
  const asked = readAddress();
  let known;
  let draft;
  try {
    known = await catalogue();
    draft = asked.like ? likeJob(await get(jobPath(asked.like))) : newDraft(known, asked);
  } catch (error) {
    show(
      root,
      head(),
      failure(error, () => newJobPage(root)),
    );
    return;
  }
  new NewJob(root, known, draft, asked.like);
}

/** Everything that a job can name here. */
async function catalogue() {
  const [spaces, datasets, devices, samplers, session] = await Promise.all(
    ["search-spaces", "datasets", "devices", "samplers", "session"].map((name) => get(`/v1/${name}`)),
  );
  return {
    spaces: spaces.search_spaces,
    datasets: datasets.datasets,
    devices: devices.devices,
    samplers: samplers.samplers,
    session,
  };
}

class NewJob {
  #key = newKey(); // made once: however often a person presses the button, it is one job
  #timer = null;
  #asked = 0;
  #submitFailed = false;
  #wrong = 0;
  #named;

  constructor(root, known, draft, like) {
    this.draft = draft;
    this.like = like;
    this.mayOnlyRead = known.session.role === "read";
    this.#named = Boolean(like); // until a person names the job, its name follows what it is about
    this.#name();
    this.form = new JobForm(known, draft, () => this.#changed());
    // Before the form's own listener, which has the name follow
    this.form.nameControl.addEventListener("input", () => (this.#named = true), { capture: true });
    this.preview = new JobPreview(known.session.asks_for_keys);
    this.problem = h("div", { class: "submit-problem", role: "alert" });
    this.button = h(
      "button",
      { type: "submit", class: "button primary", disabled: this.mayOnlyRead },
      "Submit job",
    );
    const element = h(
      "form",
      { class: "new-job", novalidate: true },
      h(
        "div",
        { class: "new-job-form" },
        this.form.element,
        this.problem,
        h("p", { class: "buttons" }, this.button),
      ),
      this.preview.element,
    );
    element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    const about =
      like &&
      h("p", { class: "page-about" }, "Like ", h("a", { href: `/jobs/${encodeURIComponent(like)}` }, like));
    show(root, head(about), this.mayOnlyRead && readOnly(known.session), element);
    this.#check();
  }

  #changed() {
    this.#name();
    writeAddress(this.draft, this.like);
    this.preview.waits(true);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), CHECK_AFTER_MS);
  }

  #name() {
    if (this.#named) return;
    const space = this.draft.search_space?.name ?? this.draft.search_space;
    this.draft.name = [this.draft.task.dataset, space]
      .filter((part) => typeof part === "string" && part)
      .join(", ");
    if (this.form) this.form.nameControl.value = this.draft.name;
  }

  async #check() {
    const number = ++this.#asked;
    this.preview.waits(true);
    try {
      const check = await post("/v1/check", inOrder(this.draft));
      if (number !== this.#asked) return; // a later one is on its way
      this.form.told(check);
      this.preview.draw(check);
      if (check.errors.length !== this.#wrong) announce(count(check.errors.length, "field") + " to mend");
      this.#wrong = check.errors.length;
      if (!this.#submitFailed) show(this.problem);
    } catch (error) {
      if (number !== this.#asked) return;
      show(
        this.problem,
        failure(error, () => this.#check()),
      );
    }
    this.preview.waits(false);
  }

  async #submit() {
    if (this.button.disabled) return;
    this.button.disabled = true;
    this.button.textContent = "Submitting…";
    this.#submitFailed = false;
    show(this.problem);
    try {
      const job = await post("/v1/jobs", inOrder(this.draft), { "Idempotency-Key": this.#key });
      location.assign(`/jobs/${encodeURIComponent(job.id)}`);
      return; // the button stays as it is until the job's page is there
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#show(error);
    }
    this.button.disabled = false;
    this.button.textContent = "Submit job";
  }

  /** Wrong fields are marked where they are; anything else is said above the button. */
  async #show(error) {
    if (error.fields.length) {
      await this.#check();
      this.form.focusProblem();
      announce(`Not submitted: ${count(error.fields.length, "field")} to mend`);
      return;
    }
    this.#submitFailed = true;
    show(this.problem, failure(error));
  }
}

function head(about) {
  return h(
    "div",
    { class: "page-head" },
    h("nav", { "aria-label": "Breadcrumb", class: "crumbs" }, h("a", { href: "/" }, "Jobs")),
    h("h1", {}, "New job"),
    about,
  );
}

function readOnly(session) {
  return h(
    "p",
    { class: "read-only", role: "note" },
    `The key ${session.name} has the role read: it can check a job here, but not submit it. `,
    "Take the YAML along, or ask an administrator for a key with the role submit.",
  );
}

/** Without https a browser has no randomUUID. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `form-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
