// The job that a form comes to, as the file and as the command that would submit the same.

import { copyButton } from "./copy_button.js";
import { h, show } from "./dom.js";
import { ago, count, exact } from "./format.js";

const TABS = [
  ["yaml", "YAML"],
  ["curl", "curl"],
];

export class JobPreview {
  element = h("aside", { class: "job-preview", "aria-label": "The job as a file" });
  #shown = "yaml";
  #yaml = "";
  #code = h("code", {});
  #copy = h("span", { class: "preview-copy" });
  #busy = h("span", { class: "preview-busy" }, "Checking…");
  #facts = h("ul", { class: "preview-facts" });
  #tabs;
  #asksForKeys;

  /** `asksForKeys` says whether the command needs a key. */
  constructor(asksForKeys) {
    this.#asksForKeys = asksForKeys;
    this.#tabs = TABS.map(([name, label]) =>
      h(
        "button",
        { type: "button", "aria-pressed": String(name === this.#shown), click: () => this.#choose(name) },
        label,
      ),
    );
    show(
      this.element,
      h("div", { class: "preview-head" }, h("div", { class: "preview-tabs" }, this.#tabs), this.#busy, this.#copy),
      h("pre", { tabindex: "0", "aria-label": "The job" }, this.#code),
      this.#facts,
    );
  }

  draw(check) {
    this.#yaml = check.yaml;
    this.#drawText();
    const tables = check.latency_tables.map((table) =>
      h(
        "li",
        {},
        `Latency on ${table.device}: table ${table.version}, measured ${ago(table.created_at)}, `,
        `±${table.errors.interval_percent.toFixed(1)} % (90 %)`,
      ),
    );
    const { training_steps: steps } = check;
    show(
      this.#facts,
      check.search_space && h("li", {}, `${check.search_space.size_text} architectures to choose from`),
      steps !== null && h("li", {}, `${exact(steps)} training steps at most`),
      tables,
      check.notes.map((note) => h("li", {}, note)),
      check.errors.length > 0 && h("li", { class: "is-wrong" }, `${count(check.errors.length, "field")} to mend`),
    );
  }

  /** Says that the server is asked about what was typed last: the first look at a large space takes seconds. */
  waits(waits) {
    this.element.classList.toggle("is-waiting", waits);
    this.element.setAttribute("aria-busy", String(waits));
  }

  #choose(name) {
    this.#shown = name;
    this.#tabs.forEach((tab, index) => tab.setAttribute("aria-pressed", TABS[index][0] === name));
    this.#drawText();
  }

  #drawText() {
    const text = this.#shown === "yaml" ? this.#yaml : curl(this.#yaml, this.#asksForKeys);
    if (this.#code.textContent === text && this.#copy.firstChild) return;
    this.#code.textContent = text;
    const label = this.#shown === "yaml" ? "Copy the YAML" : "Copy the curl command";
    show(this.#copy, copyButton(text, label));
  }
}

/** The command for a shell; the mark that ends the document is one that no line of it is. */
function curl(yaml, asksForKeys) {
  let mark = "END";
  while (yaml.split("\n").includes(mark)) mark += "_";
  const key = asksForKeys ? '  -H "Authorization: Bearer $POCKETFORMER_API_KEY" \\\n' : "";
  return (
    `curl ${location.origin}/v1/jobs \\\n  -H 'Content-Type: application/yaml' \\\n${key}` +
    `  --data-binary @- <<'${mark}'\n${yaml}${yaml.endsWith("\n") ? "" : "\n"}${mark}\n`
  );
}
