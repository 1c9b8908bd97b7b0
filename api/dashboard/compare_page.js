// The page that compares: the address names jobs (?jobs=A,B) or trials (?trials=A:3,B:7).

import { get } from "./api.js";
import { CompareJobs } from "./compare_jobs.js";
import { compareTrials } from "./compare_trials.js";
import { h, show } from "./dom.js";
import { failure } from "./notices.js";
import { trialPicker } from "./trial_picker.js";

export async function comparePage(root) {
  document.title = "Compare · Pocketformer";
  const place = h("div", {}, h("p", { class: "loading" }, "Comparing…"));
  show(root, head(), place);
  addEventListener("popstate", () => draw(place));
  await draw(place);
}

async function draw(place) {
  const given = new URLSearchParams(location.search);
  const trials = listed(given.get("trials"));
  const jobs = listed(given.get("jobs"));
  try {
    if (trials.length === 1) show(place, await trialPicker(trials[0]));
    else if (trials.length)
      show(place, compareTrials(await get(`/v1/compare/trials?${repeated("trial", trials)}`)));
    else if (jobs.length) await jobsCompared(place, jobs, given);
    else show(place, howTo());
  } catch (error) {
    show(
      place,
      failure(error, () => draw(place)),
    );
  }
}

async function jobsCompared(place, jobs, given) {
  const objectives = given.get("objectives");
  const asked = repeated("job", jobs) + (objectives ? `&objectives=${encodeURIComponent(objectives)}` : "");
  const told = await get(`/v1/compare/jobs?${asked}`);
  const shown = new CompareJobs(told, (names) => {
    const query = new URLSearchParams({ jobs: jobs.join(","), objectives: names.join(",") });
    history.pushState(null, "", `?${readable(query)}`);
    draw(place);
  });
  const focused = document.activeElement?.name;
  show(place, shown.element);
  if (focused) place.querySelector(`select[name="${CSS.escape(focused)}"]`)?.focus();
}

function listed(text) {
  return (text ?? "")
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
}

function repeated(name, values) {
  return values.map((value) => `${name}=${encodeURIComponent(value)}`).join("&");
}

/** Commas, colons and @ are fine in a query, and easier to read. */
export function readable(parameters) {
  return parameters.toString().replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%40", "@");
}

function head() {
  return h(
    "div",
    { class: "page-head" },
    h("nav", { "aria-label": "Breadcrumb", class: "crumbs" }, h("a", { href: "/" }, "Jobs")),
    h("h1", {}, "Compare"),
  );
}

function howTo() {
  return h(
    "section",
    { class: "empty" },
    h("h2", {}, "Nothing to compare yet"),
    h(
      "p",
      {},
      "Choose two or more jobs in the ",
      h("a", { href: "/" }, "list of jobs"),
      " to lay their fronts over each other.",
    ),
    h(
      "p",
      {},
      "Or open a trial of a job, and choose “Compare with…” in its details, to see two architectures side by side.",
    ),
  );
}
