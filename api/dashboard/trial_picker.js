// One trial is given: a person chooses which other one to compare it with, of the same job or of another.

import { get, jobPath } from "./api.js";
import { h, show } from "./dom.js";
import { choose } from "./form_fields.js";
import { describeMetric } from "./metrics.js";

const NEWEST = 50;

/** Returns the form; `given` is "JOB:NUMBER". */
export async function trialPicker(given) {
  const id = given.slice(0, given.lastIndexOf(":"));
  const number = given.slice(given.lastIndexOf(":") + 1);
  const [own, { jobs }] = await Promise.all([get(jobPath(id)), get(`/v1/jobs?limit=${NEWEST}`)]);
  const every = [own, ...jobs.filter((job) => job.id !== own.id)];
  const jobControl = h("select", { id: "other-job" });
  const trialControl = h("select", { id: "other-trial" });
  const problem = h("p", { class: "field-problem", role: "alert" });
  const go = h("button", { type: "submit", class: "button primary" }, "Compare");
  choose(
    jobControl,
    [["", every.map((job) => [job.id, job.id === id ? `${job.name} (the same job)` : job.name])]],
    id,
  );
  jobControl.addEventListener("change", fill);
  const form = h(
    "form",
    { class: "trial-picker form-section" },
    h(
      "h2",
      {},
      "Compare ",
      h("a", { href: `/jobs/${encodeURIComponent(id)}?trial=${number}` }, `${own.name}, trial ${number}`),
      " with",
    ),
    h(
      "div",
      { class: "fields" },
      h("div", { class: "field" }, h("label", { for: "other-job" }, "Job"), jobControl),
      h("div", { class: "field" }, h("label", { for: "other-trial" }, "Trial of its front"), trialControl),
    ),
    problem,
    h("p", { class: "buttons" }, go),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    location.assign(`/compare?trials=${given},${jobControl.value}:${trialControl.value}`);
  });
  await fill();
  return form;

  async function fill() {
    go.disabled = true;
    problem.textContent = "";
    const chosen = jobControl.value;
    try {
      const front = await get(`${jobPath(chosen)}/front`);
      if (chosen !== jobControl.value) return;
      const others = front.members.filter((member) => chosen !== id || String(member.number) !== number);
      const words = (member) =>
        front.objectives
          .map((o) => describeMetric(o.name, front.objectives))
          .map((metric) => `${metric.label} ${metric.write(member.metrics[metric.name])}`)
          .join(", ");
      const options = others.map((member) => [String(member.number), `Trial ${member.number}: ${words(member)}`]);
      choose(trialControl, [["", options]], options[0]?.[0]);
      go.disabled = !options.length;
      if (!options.length) problem.textContent = "This job has no other trial on its front yet.";
    } catch (error) {
      show(trialControl);
      problem.textContent = error.message;
    }
  }
}
