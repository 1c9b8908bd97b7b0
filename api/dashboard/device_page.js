// One device: what it is, its tables by version, and how far the chosen one can be trusted.

import { get } from "./api.js";
import { commandHere, runsOn } from "./devices_page.js";
import { h, show } from "./dom.js";
import { count, exact } from "./format.js";
import { when } from "./job_parts.js";
import { failure } from "./notices.js";
import { TableReport, workloadWords } from "./table_report.js";

export async function devicePage(root, name) {
  document.title = `${name} · Pocketformer`;
  show(root, head(name), h("p", { class: "loading" }, "Loading the device…"));
  try {
    new DevicePage(root, await get(`/v1/devices/${encodeURIComponent(name)}`));
  } catch (error) {
    if (error.status === 404) show(root, missing(name));
    else
      show(
        root,
        head(name),
        failure(error, () => devicePage(root, name)),
      );
  }
}

class DevicePage {
  #report = new TableReport();
  #place = h("div", { class: "report-place" });
  #asked = 0;

  constructor(root, device) {
    this.device = device;
    this.rows = h("tbody", {});
    const has = device.tables.length > 0;
    show(
      root,
      head(device.name, newJob(device)),
      facts(device),
      has ? this.#tables() : noTable(device),
      this.#place,
    );
    if (!has) return;
    addEventListener("popstate", () => this.#show());
    this.#show();
  }

  #tables() {
    const titles = [
      "Table",
      "Search space",
      "Workload",
      "Measured",
      "Entries",
      "Whole models",
      "Mean error",
      "Interval",
    ];
    return h(
      "section",
      { class: "device-tables" },
      h("h2", {}, "Latency tables"),
      h(
        "div",
        { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Latency tables" },
        h(
          "table",
          { class: "plain" },
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              titles.map((text) => h("th", { scope: "col" }, text)),
            ),
          ),
          this.rows,
        ),
      ),
    );
  }

  /** Shows the table that the address names, else the newest. */
  async #show() {
    const given = Number(new URLSearchParams(location.search).get("table"));
    const versions = this.device.tables.map((table) => table.version);
    const version = versions.includes(given) ? given : versions.at(-1);
    show(
      this.rows,
      [...this.device.tables].reverse().map((table) => this.#row(table, table.version === version)),
    );
    const number = ++this.#asked;
    try {
      const report = await get(
        `/v1/devices/${encodeURIComponent(this.device.name)}/latency-tables/${version}/report`,
      );
      if (number !== this.#asked) return;
      this.#report.draw(report);
      show(this.#place, this.#report.element);
    } catch (error) {
      if (number === this.#asked)
        show(
          this.#place,
          failure(error, () => this.#show()),
        );
    }
  }

  #row(table, chosen) {
    const { version, errors, entries, invalid_entries: invalid } = table;
    const choose = (event) => {
      event.preventDefault();
      history.pushState(null, "", `?table=${version}`);
      this.#show().then(() => this.rows.querySelector('[aria-current="true"]')?.focus());
    };
    const link = h(
      "a",
      { href: `?table=${version}`, "aria-current": chosen ? "true" : null, click: choose },
      `Table ${version}`,
    );
    return h(
      "tr",
      { "data-version": version, class: chosen ? "is-chosen" : null },
      h("th", { scope: "row" }, link),
      h("td", {}, table.space),
      h("td", {}, workloadWords(table.workload)),
      h("td", {}, when(table.created_at)),
      h("td", {}, `${exact(entries)}${invalid ? ` (${invalid} not valid)` : ""}`),
      h("td", {}, String(table.whole_models)),
      h("td", {}, `${errors.mean_absolute_percent.toFixed(1)} %`),
      h("td", {}, `±${errors.interval_percent.toFixed(1)} %`),
    );
  }
}

function head(name, action) {
  return h(
    "div",
    { class: "page-head" },
    h("nav", { "aria-label": "Breadcrumb", class: "crumbs" }, h("a", { href: "/devices" }, "Devices")),
    h("div", { class: "job-title" }, h("h1", {}, name), action && h("div", { class: "job-actions" }, action)),
  );
}

function newJob(device) {
  return h(
    "a",
    { class: "button", href: `/new?device=${encodeURIComponent(device.name)}` },
    "New job on this device",
  );
}

function facts(device) {
  const rows = [
    ["Hardware", `${device.hardware}, ${count(device.cores, "core")}`],
    ["Memory", device.memory_mb === null ? null : `${exact(device.memory_mb)} MB`],
    ["Runs", runsOn(device)],
    ["System", device.system],
    ["Address", device.address],
    ["Fingerprint", h("code", { title: device.fingerprint }, device.fingerprint.slice(0, 12))],
  ];
  return h(
    "dl",
    { class: "device-facts" },
    rows
      .filter(([, value]) => value !== null)
      .map(([title, value]) => h("div", {}, h("dt", {}, title), h("dd", {}, value))),
  );
}

function noTable(device) {
  return h(
    "section",
    { class: "empty" },
    h("h2", {}, "No latency table yet"),
    h("p", {}, "Measure it, so that jobs can take its latency as an objective or a limit:"),
    commandHere(`nas device profile ${device.name} --address ${device.address} --space text-encoder`),
  );
}

function missing(name) {
  return [
    head("No such device"),
    h("p", {}, "There is no device ", h("code", {}, name), ". ", h("a", { href: "/devices" }, "All devices")),
  ];
}
