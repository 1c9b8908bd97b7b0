// The front: the chart with its controls, the deadline over it, and what is singled out in it.

import { ChartControls } from "./chart_controls.js";
import { ChartDeadline } from "./chart_deadline.js";
import { drawKey } from "./chart_key.js";
import { ChartPoints, pointOf } from "./chart_points.js";
import { h, show } from "./dom.js";
import { count } from "./format.js";
import { FrontChart } from "./front_chart.js";
import { HoverCard } from "./hover_card.js";
import { whyEmpty } from "./job_parts.js";
import { deviceOf, intervalOf } from "./metrics.js";
import { notice } from "./notices.js";

export class FrontPanel {
  #points = new ChartPoints();
  #hovered = null;
  #view = null;

  /**
   * `changed(patch, options)` is told of another view, `picked(number)` of a trial to look at, `selected(drawn)` of what
   * was drawn around points, see FrontChart.
   */
  constructor(model, id, { changed, picked, selected }) {
    this.model = model;
    this.changed = changed;
    this.chart = new FrontChart({
      hovered: (number, box) => this.#hover(number, box),
      picked,
      laidOut: () => this.deadline?.layOut(),
      selected: (drawn) => selected(drawn, this.#view.x.name, this.#view.y.name),
    });
    this.deadline = new ChartDeadline(this.chart, {
      chosen: (limit) => changed({ deadline: limit }, { replace: true }),
      picked,
    });
    this.card = new HoverCard();
    this.controls = new ChartControls(changed, this.chart, (format) =>
      this.chart.savePicture(`front-${id}`, format, this.deadline.inPicture()).catch(tellFailure),
    );
    this.note = h("p", { class: "front-note", role: "status" });
    this.key = h("ul", { class: "chart-key" });
    this.chartNote = h("p", { class: "chart-note", role: "status" }, "Loading trials…");
    this.element = h(
      "section",
      { class: "front-panel", "aria-labelledby": "front-title" },
      h("div", { class: "section-head" }, h("h2", { id: "front-title" }, "Front"), this.controls.element),
      this.note,
      this.deadline.element,
      h(
        "div",
        { class: "chart-place" },
        this.chart.canvas,
        this.chart.element,
        this.deadline.marks,
        this.chartNote,
        this.card.element,
      ),
      h("div", { class: "chart-foot" }, this.key, this.controls.buttons),
    );
  }

  /** Draws {job, names, x, y (metrics), front, view, trial(number), selection}. */
  draw(shown) {
    this.#view = shown;
    const { names, x, y, job, view } = shown;
    this.controls.draw({ names, x, y, job, view, devices: this.model.knownDevices });
    this.#drawChart(shown);
    this.#drawNote(shown.front);
    this.#drawDeadline(shown);
  }

  #drawChart({ job, x, y, front, view, selection }) {
    const { store } = this.model;
    const record = (number) => this.model.trial(number);
    const points = this.#points.of(store, {
      x,
      y,
      numbers: front.numbers,
      feasible: view.feasible,
      chosen: selection?.mask ?? null,
      record,
      beside: this.#beside(x, y, view.beside),
    });
    const empty = Object.values(points).every((group) => !group.numbers.length);
    this.chartNote.textContent = empty ? whyEmpty(job, this.model.allLoaded) : "";
    this.chartNote.hidden = !empty;
    drawKey(this.key, {
      points,
      knee: front.knee,
      beside: view.beside,
      hasPick: Boolean(this.model.picks.state?.answer?.picks.length),
      hasLimits: job.constraints.some((c) => c.metric === x.name || c.metric === y.name),
      hasInterval: [x, y].some(({ name }) => intervalOf(name)),
    });
    this.chart
      .draw({
        x,
        y,
        points,
        at: (number) => pointOf(store, number, x, y, record),
        knee: front.knee,
        selected: view.trial,
        log: view.log,
        drag: view.drag,
        constraints: job.constraints,
        // Of more than two objectives the front is no line in a plane
        joined: !front.isJobs || job.objectives.length === 2,
        isEarly: !this.model.hasFront,
      })
      .catch(tellFailure);
  }

  // The front on another device, in place of that on the device of the one axis that is a latency
  #beside(x, y, device) {
    const latency = [x, y].find(({ name }) => deviceOf(name));
    const name = latency && device ? `latency_ms@${device}` : null;
    const other = latency === x ? y.name : x.name;
    const answer = this.model.frontBeside(name, other);
    return answer && { x: latency === x ? name : other, y: latency === x ? other : name, members: answer.members };
  }

  #drawNote(front) {
    const back = h(
      "button",
      { type: "button", class: "link", click: () => this.changed({ x: null, y: null }) },
      "Back to the job’s objectives",
    );
    const members = count(front.numbers.length, "trial");
    const texts = {
      loading: "Asking the server for the front of these two axes…",
      ready: `The front of these two axes, within the job’s limits: ${members}. ${this.#predictedBy(front)}`,
      error: `There is no front of these two axes: ${front.error?.message} `,
    };
    const key = front.isJobs ? "" : `${front.status}${texts[front.status]}`;
    if (this.note.dataset.key === key) return;
    this.note.dataset.key = key;
    this.note.hidden = front.isJobs;
    show(this.note, ...(front.isJobs ? [] : [texts[front.status], front.status !== "loading" && back]));
  }

  #predictedBy({ objectives }) {
    const names = (objectives ?? []).map(({ name }) => deviceOf(name));
    const device = this.model.knownDevices.find(({ name, recorded }) => !recorded && names.includes(name));
    if (!device) return "";
    return `Latency on ${device.name} is predicted from version ${device.table_version} of its table, without new trials. `;
  }

  // What is paid is limited, and the other axis is to be best; two qualities have no price
  #drawDeadline({ x, y, front, view, trial }) {
    const [cost, quality] = !x.quality ? [x, y] : !y.quality ? [y, x] : [null, null];
    this.deadline.draw({
      cost,
      quality,
      axis: cost === x ? "x" : "y",
      limit: view.deadline,
      asked: this.model.picksFor(cost, quality),
      knee: front.knee === null ? null : (trial(front.knee) ?? null),
    });
  }

  async #hover(number, box) {
    this.#hovered = number;
    if (number === null) return this.card.hide();
    await this.model.records.ask(number);
    const { trial, job, front } = this.#view;
    const known = trial(number);
    if (known && this.#hovered === number) this.card.show(known, job.objectives, number === front.knee, box);
  }
}

function tellFailure(error) {
  notice("chart", error.message);
}
