// The trials as rows: those of the front or all, of what is singled out only that, and as a file.

import { h } from "./dom.js";
import { whyEmpty } from "./job_parts.js";
import { csvOf, saveText } from "./table_file.js";
import { sorted } from "./trial_columns.js";
import { TrialTable } from "./trial_table.js";
import { TrialTabs } from "./trial_tabs.js";

export class TrialsPanel {
  #rows = { numbers: [], members: new Set() }; // what the table lists now
  #order = { key: "", numbers: [] };

  /** `changed(patch, options)` is told of another view, `picked(number)` of a trial to look at. */
  constructor(model, id, { changed, picked }) {
    this.model = model;
    this.table = new TrialTable(picked, (sort) => changed({ sort }, { replace: true }));
    this.tabs = new TrialTabs((rows) => changed({ rows }));
    const save = () => {
      const { numbers, members } = this.#rows;
      saveText(csvOf(numbers, model.store, members), `trials-${id}.csv`, "text/csv");
    };
    this.element = h(
      "section",
      { class: "rows", "aria-labelledby": "rows-title" },
      h(
        "div",
        { class: "section-head" },
        h("h2", { id: "rows-title", tabindex: "-1" }, "Trials"),
        this.tabs.element,
        h("button", { type: "button", class: "quiet rows-save", click: save }, "Save CSV"),
      ),
      this.table.element,
    );
  }

  // To order a hundred thousand takes longer than to pick out some of them
  #ordered(store, members, sort) {
    const key = JSON.stringify([store.version, members, sort]);
    if (this.#order.key !== key) {
      const numbers = (members ?? store.numbers).filter((number) => store.has(number));
      this.#order = { key, numbers: sorted(numbers, store, sort) };
    }
    return this.#order.numbers;
  }

  /** Draws {job, x, y (metrics), front, view, selection, members (a set), inFront(trial)}. */
  draw({ job, x, y, front, view, selection, members, inFront }) {
    const all = view.rows === "all";
    const { store, records, allLoaded } = this.model;
    this.tabs.draw(view.rows, front.numbers.length, store.size, allLoaded);
    const kept = (number) => {
      const row = store.row(number);
      return row !== undefined && (!all || !view.feasible || store.feasible[row]) && (!selection || selection.test(row));
    };
    const sort = view.sort ?? (all ? "number" : x.name);
    const numbers = this.#ordered(store, all ? null : front.numbers, sort).filter(kept);
    this.#rows = { numbers, members };
    this.table.draw({
      numbers,
      trial: (number) => inFront(this.model.trial(number) ?? store.light(number)),
      wanted: (inSight) => inSight.forEach((number) => records.ask(number)),
      job,
      axes: [x.name, y.name],
      withState: all,
      sort,
      selected: view.trial,
      knee: front.knee,
      emptyText: selection && store.size ? "No trial of these is in the selection." : whyEmpty(job, allLoaded),
    });
  }
}
