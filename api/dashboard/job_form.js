// The form of a new job: what is searched, for what, on which device, and how long. It changes the draft it is given.

import { DeviceChoices } from "./device_choices.js";
import { h, show } from "./dom.js";
import { capital, choose, field, input, select, showProblems } from "./form_fields.js";
import { put, setDataset, setObjective, typed, valueAt } from "./job_draft.js";
import { usualWorkload } from "./job_defaults.js";
import { MetricChoices } from "./metric_choices.js";
import { describeMetric } from "./metrics.js";

const OWN = "\u0000own"; // what came with a job that this one is like, and has no name to choose it by

export class JobForm {
  #fields = [];
  #draft;
  #known;

  /** `known` is {spaces, datasets, devices, samplers}; `changed()` is called after each change of the draft. */
  constructor(known, draft, changed) {
    this.#known = known;
    this.#draft = draft;
    this.changed = () => {
      this.devices.draw();
      changed();
    };
    this.devices = new DeviceChoices(known.devices, draft, this.changed, () => this.#refill("workload."));
    this.metrics = new MetricChoices(this.changed);
    this.general = h("div", { class: "field-problem form-problem" });
    this.element = h("div", { class: "job-form" }, this.#sections());
    this.devices.draw();
    this.#drawHints();
  }

  /** Draws what the server says of the draft. */
  told(check) {
    this.metrics.draw(this.#draft, check.metrics);
    this.size.textContent = check.search_space ? `${check.search_space.size_text} architectures` : "";
    let rest = this.metrics.problems(check.errors);
    for (const one of this.#fields) {
      const own = rest.filter((error) => error.field === one.path || error.field.startsWith(`${one.path}.`));
      showProblems(one.problem, one.control, own);
      rest = rest.filter((error) => !own.includes(error));
    }
    rest = this.devices.problems(rest);
    show(
      this.general,
      rest.map((e) => h("p", {}, h("code", {}, e.field), ` Allowed: ${e.allowed}. ${capital(e.next_step)}.`)),
    );
  }

  /** Moves to the first field with a problem. */
  focusProblem() {
    const wrong = this.element.querySelector('[aria-invalid="true"]');
    const place = wrong ?? [...this.element.querySelectorAll(".field-problem")].find((one) => one.firstChild);
    wrong?.closest("details")?.setAttribute("open", "");
    place?.scrollIntoView({ block: "center" });
    wrong?.focus({ preventScroll: true });
  }

  #sections() {
    this.size = h("span", { class: "space-size" });
    const rare = h(
      "details",
      { class: "rare" },
      h("summary", {}, "More settings"),
      h(
        "div",
        { class: "fields" },
        this.#number("task.training.batch_size", "Batch size of training", { placeholder: "32" }),
        this.#number("task.training.learning_rate", "Learning rate", { placeholder: "0.003" }),
        this.#number("budget.hours", "Longest time", { unit: "hours", placeholder: "no limit" }),
        this.#number("seed", "Seed", { placeholder: "0" }),
        this.#number("priority", "Priority", {
          placeholder: "0",
          hint: "Of waiting jobs the highest goes first.",
        }),
      ),
    );
    return [
      section(
        "Task",
        h("div", { class: "fields" }, this.#dataset(), this.#metric()),
        h("div", { class: "fields" }, this.#space(), this.#text("name", "Name of the job")),
      ),
      section(
        "One inference",
        h(
          "div",
          { class: "fields is-short" },
          this.#number("workload.batch", "Batch", { placeholder: "1" }),
          this.#number("workload.input_length", "Input length", { unit: "tokens" }),
          this.#number("workload.output_length", "Output length", { unit: "tokens", placeholder: "0" }),
        ),
        this.devices.element,
      ),
      section(
        "Objectives and limits",
        h("p", { class: "field-hint" }, "Two to four objectives. What breaks a limit on a cost is never trained."),
        this.metrics.element,
      ),
      section(
        "Search",
        h(
          "div",
          { class: "fields is-short" },
          this.#number("budget.trials", "Trials", { hint: "Candidates that are trained." }),
          this.#number("task.training.steps", "Training steps", { hint: "Of one candidate." }),
          this.#sampler(),
        ),
        this.#switch(
          "promotion",
          "Promotion",
          "all are trained a little, the better ones longer (successive halving)",
        ),
        this.#switch("finish", "Finish", "then train the front in full, with several seeds, and score it on test"),
        rare,
      ),
      this.general,
    ];
  }

  #add(made) {
    this.#fields.push(made);
    return made.element;
  }

  #text(path, label) {
    const control = input({ value: valueAt(this.#draft, path) ?? "", maxlength: "200" });
    control.addEventListener("input", () => {
      put(this.#draft, path, typed(control.value, "text"));
      this.changed();
    });
    this.nameControl = control;
    return this.#add(field(path, label, control));
  }

  #number(path, label, { placeholder, ...more } = {}) {
    const control = input({ value: valueAt(this.#draft, path) ?? "", placeholder, inputmode: "decimal" });
    control.addEventListener("input", () => {
      put(this.#draft, path, typed(control.value, "number"));
      this.changed();
    });
    return this.#add(field(path, label, control, more));
  }

  #dataset() {
    const own = typeof this.#draft.task.dataset === "object";
    const list = this.#known.datasets.map((one) => [one.name, one.name]);
    const mine = own ? [[OWN, `your own data: ${this.#draft.task.dataset.file}`]] : [];
    const control = select([["", [...mine, ...list]]], own ? OWN : this.#draft.task.dataset);
    const kept = this.#draft.task.dataset;
    control.addEventListener("change", () => {
      const dataset = this.#known.datasets.find((one) => one.name === control.value);
      if (dataset) this.#useDataset(dataset);
      else put(this.#draft, "task.dataset", kept);
      this.#drawHints();
      this.changed();
    });
    this.datasetField = field("task.dataset", "Dataset", control, { hint: " " });
    return this.#add(this.datasetField);
  }

  /** Takes another dataset, and with it a space and lengths that fit it. */
  #useDataset(dataset) {
    const before = this.#datasetNow()?.family;
    setDataset(this.#draft, dataset);
    if (before !== dataset.family) {
      const space = this.#known.spaces.find((one) => one.family === dataset.family);
      this.#draft.search_space = space?.name ?? "";
      this.#draft.workload = usualWorkload(dataset);
      this.#refill("workload.");
    }
    this.#drawMetrics();
    this.#drawSpaces();
  }

  #metric() {
    this.metricField = field("task.metric", "Quality", h("select", {}), { hint: "What training is judged by." });
    const { control } = this.metricField;
    control.addEventListener("change", () => {
      const before = this.#draft.task.metric;
      const chosen = this.#draft.objectives.includes(before);
      setObjective(this.#draft, before, false);
      this.#draft.task.metric = control.value;
      setObjective(this.#draft, control.value, chosen);
      this.changed();
    });
    this.#drawMetrics();
    return this.#add(this.metricField);
  }

  #drawMetrics() {
    const evaluator = this.#draft.task.evaluator?.metrics;
    const names = evaluator ? Object.keys(evaluator) : (this.#datasetNow()?.metrics ?? [this.#draft.task.metric]);
    const options = names.map((name) => [name, describeMetric(name).label]);
    choose(this.metricField.control, [["", options]], this.#draft.task.metric);
  }

  #space() {
    this.spaceField = field("search_space", "Search space", h("select", {}), { hint: " " });
    const { control } = this.spaceField;
    const kept = this.#draft.search_space;
    control.addEventListener("change", () => {
      put(this.#draft, "search_space", control.value === OWN ? kept : control.value);
      this.#drawHints();
      this.changed();
    });
    this.keptSpace = typeof kept === "object" ? kept : null;
    this.#drawSpaces();
    return this.#add(this.spaceField);
  }

  /** Lists the spaces whose models do the dataset's task first; the others are there, but not to be chosen. */
  #drawSpaces() {
    const family = this.#datasetNow()?.family;
    const now = this.#draft.search_space;
    const fits = (space) => !family || space.family === family;
    const option = (space) => [space.name, space.name, !fits(space) && space.name !== now];
    const groups = [
      ["", this.keptSpace ? [[OWN, `${this.keptSpace.name} (inside the job)`]] : []],
      [family ? `For this dataset (${family})` : "", this.#known.spaces.filter(fits).map(option)],
      ["Of another family", this.#known.spaces.filter((space) => !fits(space)).map(option)],
    ];
    const unknown = typeof now === "string" && !this.#known.spaces.some((space) => space.name === now);
    if (unknown) groups.unshift(["", [[now, now || "none"]]]);
    choose(this.spaceField.control, groups, typeof now === "object" ? OWN : now);
  }

  #sampler() {
    const names = this.#known.samplers.map((one) => [one.name, one.name]);
    const control = select([["", names]], this.#draft.sampler ?? names[0]?.[0]);
    const made = field("sampler", "Sampler", control, { hint: " " });
    const hint = () => {
      made.hint.textContent = this.#known.samplers.find((one) => one.name === control.value)?.description ?? "";
    };
    control.addEventListener("change", () => {
      put(this.#draft, "sampler", control.value);
      hint();
      this.changed();
    });
    hint();
    made.element.classList.add("is-wide");
    return this.#add(made);
  }

  #switch(path, label, words) {
    const control = h("input", { type: "checkbox" });
    const kept = valueAt(this.#draft, path);
    control.checked = kept !== undefined;
    control.addEventListener("change", () => {
      put(this.#draft, path, control.checked ? (kept ?? {}) : undefined);
      this.changed();
    });
    const problem = h("div", { class: "field-problem" });
    this.#fields.push({ path, control, problem });
    return h("div", { class: "switch" }, h("label", {}, control, h("strong", {}, label), `: ${words}`), problem);
  }

  #refill(prefix) {
    for (const { path, control } of this.#fields) {
      if (path.startsWith(prefix)) control.value = valueAt(this.#draft, path) ?? "";
    }
  }

  #drawHints() {
    const dataset = this.#datasetNow();
    const space = this.#known.spaces.find((one) => one.name === this.#draft.search_space);
    show(this.datasetField.hint, dataset ? dataset.title : "");
    show(this.spaceField.hint, this.size, space?.description ? h("span", {}, ` ${space.description}`) : null);
  }

  #datasetNow() {
    return this.#known.datasets.find((one) => one.name === this.#draft.task.dataset);
  }
}

function section(title, ...children) {
  return h("section", { class: "form-section" }, h("h2", {}, title), children);
}
