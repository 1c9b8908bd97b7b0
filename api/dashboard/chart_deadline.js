// The deadline together with the chart that it lies over: the slider under the axis, the marks on the points.

import { Deadline, nameOfLimit, pickUnder, spokenPick } from "./deadline.js";
import { DeadlineMarks } from "./deadline_marks.js";
import { announce } from "./notices.js";

export class ChartDeadline {
  #marks = new DeadlineMarks();
  #view = null; // what was drawn last: {cost, quality, axis, limit, asked}
  #spoken = null;

  /** `chosen(limit)` is told of a limit or null, `picked(number)` of a trial to look at. */
  constructor(chart, { chosen, picked }) {
    this.chart = chart;
    this.bar = new Deadline({ moved: (limit) => this.#mark(limit), chosen, picked });
    this.marks = this.#marks.elements;
  }

  get element() {
    return this.bar.element;
  }

  /** Draws {cost, quality (metrics; null: nothing to limit), axis, limit, asked, knee}. */
  draw(view) {
    this.#view = view;
    this.bar.draw(view);
    this.layOut();
    this.#speak(view);
  }

  /** Puts slider and marks where the chart's axes are now. */
  layOut() {
    if (!this.#view) return;
    const { cost, axis, limit } = this.#view;
    const along = cost && this.chart.frame()?.[axis];
    this.bar.layOut(along ? { ...along, aligned: axis === "x" } : null);
    this.#mark(limit);
  }

  /** What a picture of the chart is to show of it: {metric, limit, name, pick}, or null. */
  inPicture() {
    const { cost, limit, asked } = this.#view;
    if (!cost || !asked?.answer) return null;
    const pick = pickUnder(asked.answer, limit)?.trial;
    return { metric: cost.name, limit, name: nameOfLimit(cost).toLowerCase(), pick };
  }

  #mark(limit) {
    const { axis, cost, asked } = this.#view;
    const pick = cost && asked?.answer ? pickUnder(asked.answer, limit) : null;
    const [x, y] = axis === "x" ? [pick?.cost, pick?.quality] : [pick?.quality, pick?.cost];
    const text = cost && limit !== null ? `${nameOfLimit(cost).toLowerCase()} ${cost.writeLimit(limit)}` : "";
    this.#marks.draw({ axis, limit: cost ? limit : null, text, pick: pick ? { x, y } : null }, this.chart.frame());
  }

  #speak({ cost, quality, limit, asked }) {
    if (!cost || !asked?.answer) return;
    const within = limit === null ? "" : `Within ${cost.writeLimit(limit)} `;
    const text = within + spokenPick(pickUnder(asked.answer, limit), quality);
    if (this.#spoken !== null && this.#spoken !== text) announce(text);
    this.#spoken = text;
  }
}
