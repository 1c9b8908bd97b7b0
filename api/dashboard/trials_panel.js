// The trials as rows: those of the front or all, of what is singled out only that, and as a file.

import { h } from "./dom.js";
import { whyEmpty } from "./job_parts.js";
import { csvOf, saveText } from "./table_file.js";
import { TrialTable } from "./trial_table.js";
import { TrialTabs } from "./trial_tabs.js";

export class TrialsPanel {
  #rows = () => ({ numbers: [], members: new Set() }); // what the table lists now

  /** `changed(patch, options)` is told of another view, `picked(number)` of a trial to look at. */
  constructor(model, id, { changed, picked }) {
    this.model = model;
    this.table = new TrialTable(picked, (sort) => changed({ sort }, { replace: true }));
    this.tabs = new TrialTabs((rows) => changed({ rows }));
    const save = () => {
      const { numbers, members } = this.#rows();
      saveText(csvOf(numbers, model.store, members), `trials-${id}.csv`, "text/csv");
    };
    this.element = h(
      "section",
      { class: "rows", "aria-labelledby": "rows-title" },
      h(
        "div",
        { class: "section-head" },
        h("h2", { id: "rows-title" }, "Trials"),
        this.tabs.element,
        h("button", { type: "button", class: "quiet rows-save", click: save }, "Save CSV"),
      ),
      this.table.element,
    );
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
    const numbers = (all ? store.numbers : front.numbers).filter(kept);
    const sort = view.sort ?? (all ? "number" : x.name);
    this.#rows = () => ({ numbers: this.table.sorted, members });
    this.table.draw({
      numbers,
      store,
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
