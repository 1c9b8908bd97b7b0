// Fronts of jobs over each other. Whose members are on the joint front, and every hypervolume, the server has said.

import { CompareChart, PALETTE } from "./compare_chart.js";
import { differencesOf } from "./differences.js";
import { h, show } from "./dom.js";
import { choose } from "./form_fields.js";
import { count, share } from "./format.js";
import { describeMetric } from "./metrics.js";

export class CompareJobs {
  element = h("div", { class: "compare" });
  #picked = []; // at most two members, as "JOB:NUMBER"
  #pickedPlace = h("p", { class: "compare-picked", role: "status" });

  /** `told` is the server's comparison; `asked(names)` is called when other objectives are chosen. */
  constructor(told, asked) {
    this.told = told;
    this.asked = asked;
    this.names = told.jobs.map((job) => job.name);
    const [x, y] = this.#axes();
    this.chart = new CompareChart((id) => this.#pick(id));
    show(
      this.element,
      h(
        "section",
        { class: "compare-front" },
        h("div", { class: "compare-axes" }, this.#axis("y", y), this.#axis("x", x)),
        this.chart.element,
        this.#pickedPlace,
        this.#jobs(),
        this.#reference(),
      ),
      h(
        "section",
        { class: "compare-differences" },
        h("h2", {}, "What differs"),
        differencesOf(told.differences, this.names),
      ),
      this.#members(),
    );
    this.#drawChart();
    this.#drawPicked();
  }

  /** The last objective goes along, the first up, as on a job's page. */
  #axes() {
    const names = this.told.objectives.map((objective) => objective.name);
    return names.length > 1 ? [names.at(-1), names[0]] : [names[0], names[0]];
  }

  #axis(name, value) {
    const control = h("select", { name, "aria-label": `${name.toUpperCase()} axis` });
    const options = this.told.metrics.map((metric) => [
      metric.name,
      describeMetric(metric.name, this.told.metrics).label,
    ]);
    choose(control, [["", options]], value);
    control.addEventListener("change", () => {
      const [x, y] = this.#axes();
      const chosen = name === "x" ? [y, control.value] : [control.value, x];
      this.asked(chosen[0] === chosen[1] ? (name === "x" ? [x, control.value] : [control.value, y]) : chosen);
    });
    return h("label", {}, name.toUpperCase(), control);
  }

  #drawChart() {
    const [x, y] = this.#axes().map((name) => describeMetric(name, this.told.metrics));
    this.chart.draw({ x, y, jobs: this.told.jobs, picked: this.#picked });
  }

  #jobs() {
    const total = this.told.jobs.reduce((sum, job) => sum + job.on_joint_front, 0);
    const heads = ["Job", "Hypervolume", "On the joint front", "On its front", "Evaluated", "State", "Limits"];
    const row = (job, index) =>
      h(
        "tr",
        { "data-job": job.id },
        h(
          "th",
          { scope: "row" },
          h("span", { class: `compare-swatch compare-${PALETTE[index]}`, "aria-hidden": "true" }),
          h("a", { href: job.page }, job.name),
        ),
        h("td", { class: "volume" }, share(job.hypervolume ?? NaN)),
        h("td", {}, job.on_joint_front === null ? "–" : `${job.on_joint_front} of ${total}`),
        h("td", {}, String(job.front.length)),
        h("td", {}, String(job.evaluated)),
        h("td", {}, job.state),
        h("td", { class: "compare-limits" }, job.limits.map(spelled).join("; ") || "none"),
      );
    return h(
      "div",
      { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Jobs" },
      h(
        "table",
        { class: "plain compare-jobs" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            heads.map((text) => h("th", { scope: "col" }, text)),
          ),
        ),
        h("tbody", {}, this.told.jobs.map(row)),
      ),
    );
  }

  #reference() {
    if (!this.told.reference.length) return null;
    const parts = this.told.reference.map((end) => {
      const metric = describeMetric(end.objective, this.told.metrics);
      return `${metric.label} ${metric.writeLimit(end.ideal)} to ${metric.writeLimit(end.point)}`;
    });
    const own = this.told.reference.every((end) => end.source === "jobs");
    return h(
      "p",
      { class: "field-hint" },
      `Hypervolume under one reference for all, ${own ? "the widest of the jobs’ own" : "as far as their fronts reach"}: `,
      parts.join("; "),
      ". Each front keeps its own job’s limits.",
    );
  }

  /** Every member as a row, for who sees no chart, and to choose two to compare. */
  #members() {
    const metrics = this.told.objectives.map((one) => describeMetric(one.name, this.told.metrics));
    const row = (job, index, member) =>
      h(
        "tr",
        { "data-member": `${job.id}:${member.number}` },
        h(
          "th",
          { scope: "row" },
          h(
            "label",
            {},
            this.#box(job, member),
            h("span", { class: `compare-swatch compare-${PALETTE[index]}`, "aria-hidden": "true" }),
            `${job.name}, trial ${member.number}`,
          ),
        ),
        metrics.map((metric) => h("td", {}, metric.write(member.metrics[metric.name]))),
        h("td", {}, togetherOf(member)),
      );
    const all = this.told.jobs.reduce((sum, job) => sum + job.front.length, 0);
    return h(
      "details",
      { class: "compare-members" },
      h("summary", {}, `All ${count(all, "member")} of the fronts`),
      h(
        "div",
        { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Members of the fronts" },
        h(
          "table",
          { class: "plain" },
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              ["Member", ...metrics.map((metric) => metric.label), "Together"].map((text) =>
                h("th", { scope: "col" }, text),
              ),
            ),
          ),
          h(
            "tbody",
            {},
            this.told.jobs.flatMap((job, index) => job.front.map((member) => row(job, index, member))),
          ),
        ),
      ),
    );
  }

  #box(job, member) {
    const id = `${job.id}:${member.number}`;
    return h("input", { type: "checkbox", value: id, change: () => this.#pick(id) });
  }

  #pick(id) {
    if (this.#picked.includes(id)) this.#picked = this.#picked.filter((other) => other !== id);
    else this.#picked = [...this.#picked, id].slice(-2);
    this.#drawPicked();
    this.#drawChart();
  }

  #drawPicked() {
    for (const box of this.element.querySelectorAll(".compare-members input")) {
      box.checked = this.#picked.includes(box.value);
    }
    const words = this.#picked.map((id) => this.#nameOf(id));
    const hint = "Choose two points to see their architectures side by side.";
    show(
      this.#pickedPlace,
      !words.length && hint,
      words.length === 1 && `${words[0]} chosen. Choose another point to compare it with.`,
      words.length === 2 && [
        h(
          "a",
          { class: "button primary", href: `/compare?trials=${this.#picked.join(",")}` },
          "Compare architectures",
        ),
        ` ${words.join(" and ")}`,
      ],
    );
  }

  #nameOf(id) {
    const [job, number] = [id.slice(0, id.lastIndexOf(":")), id.slice(id.lastIndexOf(":") + 1)];
    return `${this.told.jobs.find((one) => one.id === job)?.name}, trial ${number}`;
  }
}

function togetherOf(member) {
  if (member.on_joint_front === null) return "not comparable";
  return member.on_joint_front ? h("span", { class: "tag tag-front" }, "joint front") : "dominated";
}

/** "parameters <= 24000" with the sign that a person writes. */
function spelled(limit) {
  return limit.replace("<=", "≤").replace(">=", "≥").replaceAll(" ", "\u00a0"); // a line ends between limits
}
