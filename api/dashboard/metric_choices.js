// The table in which a person chooses objectives and limits: every metric with what the space can reach.

import { h, show } from "./dom.js";
import { showProblems } from "./form_fields.js";
import { significant } from "./format.js";
import { readLimit, setLimit, setObjective } from "./job_draft.js";
import { describeMetric } from "./metrics.js";

const EXTRA = ["macs_prefill", "macs_step", "kv_cache_mb", "parameters_without_embeddings", "size_int8_mb"];

export class MetricChoices {
  element = h("div", { class: "metric-choices" });
  #body = h("tbody", {});
  #further = h("ul", { class: "further-limits" });
  #rows = new Map();
  #draft = null;

  /** `changed()` is called after each choice. */
  constructor(changed) {
    this.changed = changed;
    const heads = [
      ["Metric", "name"],
      ["Reachable in this space", "reach"],
      ["Objective", "objective"],
      ["Limit", "limit"],
    ];
    const cells = heads.map(([text, name]) => h("th", { scope: "col", class: `metric-${name}` }, text));
    show(
      this.element,
      h("table", { "aria-label": "Objectives and limits" }, h("thead", {}, h("tr", {}, cells)), this.#body),
      this.#further,
    );
  }

  /** Draws the metrics of the last check; inputs that are there stay, with what is typed in them. */
  draw(draft, metrics) {
    this.#draft = draft;
    const names = metrics.map((metric) => metric.name);
    for (const name of this.#rows.keys()) if (!names.includes(name)) this.#rows.delete(name);
    for (const metric of metrics) {
      if (!this.#rows.has(metric.name)) this.#rows.set(metric.name, this.#row(metric));
      this.#update(metric);
    }
    const rows = [...metrics]
      .sort((a, b) => rank(a) - rank(b))
      .map((metric) => this.#rows.get(metric.name).element);
    if (rows.some((row, index) => row !== this.#body.rows[index]) || rows.length !== this.#body.rows.length) {
      this.#body.replaceChildren(...rows);
    }
    this.#drawFurther(names);
  }

  /** Takes in the problems of objectives[i] and constraints[i]; returns those that belong to no row. */
  problems(errors) {
    const byRow = new Map();
    const rest = [];
    for (const error of errors) {
      const [, list, index] = /^(objectives|constraints)\[(\d+)\]/.exec(error.field) ?? [];
      const text = list && this.#draft?.[list]?.[Number(index)];
      const name = list === "objectives" ? text : readLimit(text ?? "")?.metric;
      if (this.#rows.has(name)) byRow.set(name, [...(byRow.get(name) ?? []), error]);
      else rest.push(error);
    }
    for (const [name, row] of this.#rows) showProblems(row.problem, row.limit, byRow.get(name) ?? []);
    return rest;
  }

  #row(metric) {
    const { name } = metric;
    const label = describeMetric(name).label;
    const objective = h("input", { type: "checkbox", "aria-label": `${label}: objective` });
    const operator = h(
      "select",
      { "aria-label": `${label}: kind of limit` },
      h("option", { value: "<=" }, "≤"),
      h("option", { value: ">=" }, "≥"),
    );
    const limit = h("input", {
      type: "text",
      inputmode: "decimal",
      autocomplete: "off",
      "aria-label": `${label}: limit`,
      placeholder: "none",
    });
    objective.addEventListener("change", () => {
      setObjective(this.#draft, name, objective.checked);
      this.changed();
    });
    const limited = () => {
      setLimit(this.#draft, name, operator.value, limit.value);
      this.changed();
    };
    limit.addEventListener("input", limited);
    operator.addEventListener("change", limited);
    const reach = h("td", { class: "metric-reach", "data-title": "Reachable" });
    const problem = h("div", { class: "field-problem", id: `metric-problem-${name}` });
    limit.setAttribute("aria-describedby", problem.id);
    const direction = metric.direction === "maximize" ? "highest" : "lowest";
    const element = h(
      "tr",
      { "data-metric": name },
      h("th", { scope: "row", class: "metric-name" }, label, problem),
      reach,
      h("td", { class: "metric-objective" }, h("label", {}, objective, h("span", {}, direction))),
      h(
        "td",
        { class: "metric-limit" },
        h("span", {}, operator, limit, h("span", { class: "unit" }, metric.unit)),
      ),
    );
    return { element, objective, operator, limit, reach, problem };
  }

  #update(metric) {
    const row = this.#rows.get(metric.name);
    const described = describeMetric(metric.name);
    row.objective.checked = (this.#draft.objectives ?? []).includes(metric.name);
    const limit = (this.#draft.constraints ?? []).map(readLimit).find((one) => one?.metric === metric.name);
    if (document.activeElement !== row.limit) row.limit.value = limit?.limit ?? "";
    if (limit) row.operator.value = limit.operator;
    row.reach.textContent = reachOf(metric, described);
    const exact = metric.reach && [metric.reach.lowest, metric.reach.highest].map(described.writeExact);
    row.reach.title = exact ? exact.join(" to ") : "";
    const used = row.objective.checked || limit;
    row.element.classList.toggle("is-minor", EXTRA.includes(metric.name) && !used);
  }

  /** A second limit on a metric, or one on a bound of a latency, has no row: it is listed, and can be taken away. */
  #drawFurther(names) {
    const seen = new Set();
    const further = (this.#draft.constraints ?? []).filter((text) => {
      const metric = readLimit(text)?.metric;
      const first = names.includes(metric) && !seen.has(metric);
      seen.add(metric);
      return !first;
    });
    const key = further.join("\n");
    if (this.#further.dataset.shown === key) return;
    this.#further.dataset.shown = key;
    show(
      this.#further,
      further.map((text) =>
        h(
          "li",
          {},
          h("code", {}, text),
          h("button", { type: "button", class: "link", click: () => this.#drop(text) }, "Remove"),
        ),
      ),
    );
  }

  #drop(text) {
    this.#draft.constraints = this.#draft.constraints.filter((one) => one !== text);
    this.changed();
  }
}

function rank(metric) {
  return { quality: 0, latency: 1, cost: EXTRA.includes(metric.name) ? 3 : 2 }[metric.kind];
}

function reachOf(metric, described) {
  if (metric.reach) {
    const { lowest, highest } = metric.reach;
    const write = described.whole ? described.write : (value) => significant(value, 4);
    const unit = described.whole || !metric.unit ? "" : ` ${metric.unit}`;
    return `${write(lowest)} to ${write(highest)}${unit}`;
  }
  if (metric.kind === "quality") {
    return metric.chance === null ? "known after training" : `guessing scores ${significant(metric.chance, 3)}`;
  }
  return metric.kind === "latency" ? "no table covers this yet" : "–";
}
