// The list of devices: what each is, and how well its newest table predicts.

import { get } from "./api.js";
import { h, show } from "./dom.js";
import { command } from "./form_fields.js";
import { count } from "./format.js";
import { when } from "./job_parts.js";
import { failure } from "./notices.js";

const COLUMNS = [
  ["Device", "job"],
  ["Runs", "runs"],
  ["Tables", "tables"],
  ["Mean error", "error"],
  ["Measured", "created"],
];

export async function devicesPage(root) {
  document.title = "Devices · Pocketformer";
  const place = h("div", {}, h("p", { class: "loading" }, "Loading devices…"));
  show(root, h("div", { class: "page-head" }, h("h1", {}, "Devices")), place);
  try {
    const { devices } = await get("/v1/devices");
    show(place, devices.length ? [list(devices), another()] : emptyState());
  } catch (error) {
    show(
      place,
      failure(error, () => devicesPage(root)),
    );
  }
}

export function devicePath(name) {
  return `/devices/${encodeURIComponent(name)}`;
}

/** What of a device changes a latency, in a few words. */
export function runsOn(device) {
  const parts = [`${device.runtime} ${device.runtime_version}`, device.precision, count(device.threads, "thread")];
  return [...parts, `clock ${device.clock}`].join(" · ");
}

/** A command for a terminal, told which server it is for. */
export function commandHere(text) {
  return command(`${text} --url ${location.origin}`);
}

function list(devices) {
  const head = COLUMNS.map(([title, name]) =>
    h("th", { role: "columnheader", scope: "col", class: `col-${name}` }, title),
  );
  return h(
    "table",
    { class: "jobs devices-list", role: "table", "aria-label": "Devices" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)),
    h("tbody", { role: "rowgroup" }, devices.map(row)),
  );
}

function row(device) {
  const newest = device.tables.at(-1);
  const spaces = [...new Set(device.tables.map((table) => table.space))];
  const cells = {
    job: [
      h("a", { class: "job-name", href: devicePath(device.name) }, device.name),
      h("span", { class: "job-about" }, device.hardware),
    ],
    runs: runsOn(device),
    tables: newest ? `${device.tables.length} (${spaces.join(", ")})` : "none yet",
    error: newest ? `${newest.errors.mean_absolute_percent.toFixed(1)} %` : "–",
    created: newest ? when(newest.created_at) : "–",
  };
  return h(
    "tr",
    { role: "row", "data-device": device.name },
    COLUMNS.map(([title, name]) =>
      h("td", { role: "cell", class: `col-${name}`, "data-title": title }, cells[name]),
    ),
  );
}

function another() {
  return h("details", { class: "measure-another" }, h("summary", {}, "Measure another device"), commands());
}

function emptyState() {
  return h(
    "section",
    { class: "empty" },
    h("h2", {}, "No devices yet"),
    h(
      "p",
      {},
      "A device is hardware with a runtime, threads, a precision and a clock. Its latency table holds what every ",
      "sub-block of a search space takes there, so that the latency of any architecture of the space is predicted, ",
      "with an interval.",
    ),
    commands(),
  );
}

function commands() {
  const ways = [
    ["This machine, some minutes in which it should be left alone:", "this-machine --space text-encoder"],
    ["A board that ssh reaches:", "pi --address ssh://pi@raspberrypi.local --space text-encoder"],
    ["A phone on this machine's adb:", "phone --address adb://SERIAL --runtime executorch --space text-encoder"],
  ];
  return h(
    "div",
    { class: "measure-ways" },
    ways.map(([words, rest]) => [h("p", {}, words), commandHere(`nas device profile ${rest}`)]),
  );
}
