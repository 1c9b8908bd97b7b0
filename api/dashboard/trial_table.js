// The same trials as rows: sortable, and the way to the details by keyboard.

import { h, show } from "./dom.js";
import { count } from "./format.js";
import { columnsOf } from "./trial_columns.js";

const ROWS = 150;

export class TrialTable {
  element = h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Table of trials" });
  #limit = ROWS;
  #rows = new Map(); // number → {key, row}, so that rows that say the same stay the same
  #body = h("tbody", {});
  #head = h("tr", {});
  #more = h("button", { type: "button", class: "more", hidden: true, click: () => this.#showMore() });
  #empty = h("p", { class: "table-empty", hidden: true });
  #latest = null;
  /** `picked(number)` and `sorted(text)` are told what the person chose; `text` is "-latency_ms@x" or "parameters". */
  constructor(picked, sorted) {
    this.picked = picked;
    this.sort = sorted;
    show(
      this.element,
      h("table", { class: "trials" }, h("thead", {}, this.#head), this.#body),
      this.#empty,
      this.#more,
    );
    this.#body.addEventListener("keydown", (event) => this.#walk(event));
  }

  /**
   * Draws {numbers (of all rows, in their order), trial(number), wanted(numbers), job, withState, sort, selected, knee,
   * emptyText}: `trial` tells what is known of one, `wanted` is told of those in sight.
   */
  draw(view) {
    this.#latest = view;
    const columns = columnsOf(view);
    this.#drawHead(columns, view.sort);
    const rows = view.numbers;
    const inSight = rows.slice(0, this.#limit);
    view.wanted(inSight);
    const focused = document.activeElement?.closest?.("tr[data-trial]")?.dataset.trial;
    const drawn = inSight.map((number) => this.#row(view.trial(number), columns, view));
    if (drawn.length !== this.#body.rows.length || drawn.some((row, index) => row !== this.#body.rows[index])) {
      this.#body.replaceChildren(...drawn);
      if (focused !== undefined) this.#button(focused)?.focus({ preventScroll: true });
    }
    this.#more.hidden = rows.length <= this.#limit;
    this.#more.textContent = `Show ${Math.min(ROWS, rows.length - this.#limit)} more of ${count(rows.length, "trial")}`;
    this.#empty.hidden = rows.length > 0;
    this.#empty.textContent = view.emptyText;
  }

  /** Moves the keyboard to the row of that trial. */
  focusRow(number) {
    this.#button(number)?.focus();
  }

  #button(number) {
    return this.#body.querySelector(`tr[data-trial="${Number(number)}"] button`);
  }

  #showMore() {
    const first = this.#limit;
    this.#limit += ROWS;
    this.draw(this.#latest);
    this.#body.rows[first]?.querySelector("button").focus();
  }

  #drawHead(columns, sort) {
    const key = JSON.stringify([columns.map((c) => c.name), sort]);
    if (this.#head.dataset.key === key) return;
    const focused = document.activeElement?.dataset?.sort;
    show(
      this.#head,
      columns.map((column) => {
        const [up, down] = [sort === column.name, sort === `-${column.name}`];
        const order = up ? "ascending" : down ? "descending" : "none";
        return h(
          "th",
          { scope: "col", class: column.class, "aria-sort": order },
          h(
            "button",
            {
              type: "button",
              "data-sort": column.name,
              title: column.title,
              click: () => this.sort(up ? `-${column.name}` : column.name),
            },
            column.label,
          ),
        );
      }),
    );
    this.#head.dataset.key = key;
    if (focused) this.#head.querySelector(`button[data-sort="${CSS.escape(focused)}"]`)?.focus();
  }

  #row(trial, columns, { selected, knee }) {
    const key = JSON.stringify([
      columns.map((c) => c.name),
      trial.state,
      trial.on_front,
      trial.dropped,
      trial.number === selected,
      trial.number === knee,
      trial.metrics,
      trial.architecture_id,
    ]);
    const known = this.#rows.get(trial.number);
    if (known?.key === key) return known.row;
    const row = h(
      "tr",
      {
        "data-trial": trial.number,
        "aria-selected": String(trial.number === selected),
        click: (event) => event.target.closest("button") ?? this.picked(trial.number),
      },
      columns.map((column) =>
        h(
          column.name === "number" ? "th" : "td",
          { class: column.class, scope: column.name === "number" ? "row" : null },
          column.name === "number" ? this.#numberCell(trial, trial.number === knee) : column.cell(trial),
        ),
      ),
    );
    this.#rows.set(trial.number, { key, row });
    return row;
  }

  #numberCell(trial, isKnee) {
    return [
      h(
        "button",
        {
          type: "button",
          class: "trial-link",
          "aria-label": `Details of trial ${trial.number}`,
          click: () => this.picked(trial.number),
        },
        String(trial.number),
      ),
      isKnee && h("span", { class: "tag tag-knee" }, "knee"),
    ];
  }

  // Arrow keys go from row to row
  #walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest("tr");
    if (!step || !row) return;
    event.preventDefault();
    const next = step > 0 ? row.nextElementSibling : row.previousElementSibling;
    next?.querySelector("button").focus();
  }
}
