// The list of jobs, newest first; running ones are looked at again every few seconds while the page is seen.

import { get, jobPath } from "./api.js";
import { h, show } from "./dom.js";
import { share } from "./format.js";
import { JobChoice } from "./job_choice.js";
import { isFinal, progressBar, stateBadge, timeLeft, when } from "./job_parts.js";
import { announce, failure, notice } from "./notices.js";

const PAGE = 30;
const REFRESH_MS = 2_000;
const COLUMNS = [
  ["", "choose"],
  ["State", "state"],
  ["Job", "job"],
  ["Evaluated", "evaluated"],
  ["On the front", "front"],
  ["Hypervolume", "volume"],
  ["Time left", "left"],
  ["Created", "created"],
];

export function jobsPage(root) {
  document.title = "Jobs · Pocketformer";
  const body = h("tbody", { role: "rowgroup" });
  const more = h("button", { type: "button", class: "more", hidden: true, click: loadMore }, "Load more");
  const place = h("div", { class: "jobs-place" }, h("p", { class: "loading" }, "Loading jobs…"));
  const jobs = new Map(); // id → job, newest first
  const choice = new JobChoice();
  let cursor = null;

  show(root, h("div", { class: "page-head page-head-line" }, h("h1", {}, "Jobs"), choice.element), place);
  start();

  async function start() {
    try {
      const page = await get(`/v1/jobs?limit=${PAGE}`);
      take(page);
      draw();
      setTimeout(refresh, REFRESH_MS);
    } catch (error) {
      show(
        place,
        failure(error, () => {
          show(place, h("p", { class: "loading" }, "Loading jobs…"));
          start();
        }),
      );
    }
  }

  function take(page) {
    for (const job of page.jobs) jobs.set(job.id, job);
    cursor = page.next_cursor;
  }

  async function loadMore() {
    more.disabled = true;
    more.textContent = "Loading…";
    try {
      const before = jobs.size;
      take(await get(`/v1/jobs?limit=${PAGE}&cursor=${encodeURIComponent(cursor)}`));
      draw();
      announce(`${jobs.size - before} more jobs loaded`);
      body.rows[before]?.querySelector("a")?.focus();
      notice("more", null);
    } catch (error) {
      notice("more", error.message, { label: "Try again", run: loadMore });
    } finally {
      more.disabled = false;
      more.textContent = "Load more";
    }
  }

  async function refresh() {
    if (!document.hidden && !document.querySelector("dialog[open]")) {
      try {
        await look();
        notice("connection", null);
      } catch (error) {
        notice("connection", `${error.message} The list may be out of date; trying again…`);
      }
    }
    setTimeout(refresh, REFRESH_MS);
  }

  async function look() {
    const page = await get(`/v1/jobs?limit=${PAGE}`);
    const fresh = new Map(page.jobs.map((job) => [job.id, job])); // new jobs come first
    // A job that the newest page should show and does not has been deleted
    const oldest = page.next_cursor === null ? -Infinity : Date.parse(page.jobs.at(-1).created_at);
    const older = [...jobs.values()].filter((job) => !fresh.has(job.id) && Date.parse(job.created_at) <= oldest);
    for (const job of await Promise.all(older.map(lookedAt))) if (job) fresh.set(job.id, job);
    for (const job of fresh.values()) {
      const old = jobs.get(job.id);
      if (old && old.state !== job.state) announce(`${job.name}: ${job.state}`);
    }
    jobs.clear();
    choice.keep(fresh);
    for (const [id, job] of fresh) jobs.set(id, job);
    draw();
  }

  function draw() {
    if (!jobs.size) {
      if (!place.querySelector(".empty")) show(place, emptyState());
      return;
    }
    more.hidden = cursor === null;
    if (!body.isConnected) {
      show(
        place,
        h(
          "table",
          { class: "jobs", role: "table", "aria-label": "Jobs, newest first" },
          h(
            "thead",
            { role: "rowgroup" },
            h(
              "tr",
              { role: "row" },
              COLUMNS.map(([title, name]) =>
                h(
                  "th",
                  { role: "columnheader", scope: "col", class: `col-${name}` },
                  title || h("span", { class: "visually-hidden" }, "Choose"),
                ),
              ),
            ),
          ),
          body,
        ),
        more,
      );
    }
    const focused = document.activeElement?.closest?.("tr[data-job]")?.dataset.job;
    const old = new Map([...body.rows].map((row) => [row.dataset.job, row]));
    const rows = [...jobs.values()].map((job) => {
      const row = old.get(job.id);
      return row && row.dataset.shown === JSON.stringify(shown(job)) ? row : jobRow(job, choice);
    });
    if (rows.length !== body.rows.length || rows.some((row, index) => row !== body.rows[index])) {
      body.replaceChildren(...rows);
      if (focused)
        rows
          .find((row) => row.dataset.job === focused)
          ?.querySelector("a")
          .focus();
    }
  }
}

/** Returns an older job as it is now, null if it has been deleted; one that has ended is not asked for again. */
async function lookedAt(job) {
  if (isFinal(job)) return job;
  try {
    return await get(jobPath(job.id));
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

function shown(job) {
  return [job.state, job.name, job.progress, when(job.created_at).textContent];
}

function jobRow(job, choice) {
  const { progress } = job;
  const texts = {
    choose: choice.box(job),
    state: stateBadge(job.state),
    job: [
      h("a", { class: "job-name", href: `/jobs/${encodeURIComponent(job.id)}` }, job.name),
      h("span", { class: "job-about" }, [job.search_space, job.dataset].filter(Boolean).join(" · ")),
    ],
    evaluated: progressBar(job),
    front: String(progress.front_size),
    volume: share(progress.hypervolume ?? NaN),
    left: timeLeft(job),
    created: when(job.created_at),
  };
  return h(
    "tr",
    { role: "row", "data-job": job.id, "data-shown": JSON.stringify(shown(job)) },
    COLUMNS.map(([title, name]) =>
      h("td", { role: "cell", class: `col-${name}`, "data-title": title }, texts[name]),
    ),
  );
}

function emptyState() {
  const origin = location.origin;
  return h(
    "section",
    { class: "empty" },
    h("h2", {}, "No jobs yet"),
    h(
      "p",
      {},
      h("a", { class: "button primary", href: "/new" }, "Make the first one"),
    ),
    h(
      "p",
      {},
      "A job searches a space of architectures for the ones that are both good and cheap. Describe it in one ",
      "YAML file:",
    ),
    h("pre", { tabindex: "0", "aria-label": "Example of a job file" }, h("code", {}, EXAMPLE)),
    h("p", {}, "Submit it to this server and watch it here:"),
    h(
      "pre",
      { tabindex: "0", "aria-label": "Example of a submission" },
      h(
        "code",
        {},
        `curl -X POST ${origin}/v1/jobs \\\n     -H 'Content-Type: application/yaml' \\\n     --data-binary @job.yaml`,
      ),
    ),
    h(
      "p",
      {},
      "Or run it without a server: ",
      h("code", {}, "nas search job.yaml"),
      ". To have everything done for you, ",
      "the latency table of this machine included: ",
      h("code", {}, "nas demo"),
      ".",
    ),
  );
}

const EXAMPLE = `name: my-first-job
search_space: text-encoder
task:
  dataset: language-identification
  metric: error_rate
workload: {batch: 1, input_length: 64}
devices: [this-machine]
objectives: [error_rate, "latency_ms@this-machine"]
constraints: ["parameters <= 2e6"]
budget: {trials: 30}`;
