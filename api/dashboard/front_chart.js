// The live front as a chart, and what the pointer does on it.

import { h, show } from "./dom.js";
import { FAINT, figureOf, FRONT_UID } from "./front_figure.js";
import { sketchOf } from "./front_sketch.js";
import { divided, ManyPoints } from "./many_points.js";
import { loadPlotly } from "./plotly.js";

export const CONFIG = {
  displayModeBar: false, // the buttons above the chart do the same, and can be reached by keyboard
  displaylogo: false,
  showSendToCloud: false,
  doubleClick: false, // answered here: plotly would go back to the range of the first drawing
  responsive: true,
  scrollZoom: false,
  showTips: false,
};

export class FrontChart {
  element = h("div", { class: "chart", role: "img" });
  #many = new ManyPoints();
  /** Where many points are drawn: belongs under the element. */
  canvas = this.#many.element;
  #plotly = null;
  #hasFailed = false;
  #sketched = null; // the frame of the sketch
  #zoomed = { view: "", ranges: {} }; // the ranges that the person chose, kept until other axes are shown
  #latest = null;
  #drawn = null; // what plotly drew last, where that can be compared
  #colours = null;
  #listening = false;
  #onPoint = false; // whether the pointer is on a point that the chart's program has drawn

  /**
   * `hovered(number | null, box)` and `picked(number)` are told what the pointer does, `laidOut()` of a new frame, and
   * `selected({box: {x, y}} or {lasso: {x, y}})` of what was drawn around points, in values of the axes.
   */
  constructor({ hovered, picked, laidOut, selected }) {
    this.hovered = hovered;
    this.picked = picked;
    this.laidOut = laidOut;
    this.selected = selected;
    matchMedia("(prefers-color-scheme: dark)").addEventListener(
      "change",
      () => this.#latest && this.draw(this.#latest),
    );
  }

  /**
   * Draws {x, y (metrics), points (see ChartPoints), at (see `pointOf`, of a number), knee, selected (numbers or null),
   * joined, log, constraints, drag ("zoom", "select" or "lasso"), isEarly (the front is on its way)}. Zoom and pan stay
   * until the axes change or `resetZoom` is called. Until the chart's program is there it is a sketch; rejects where
   * there is none to be had.
   */
  async draw(view) {
    this.#latest = view;
    this.element.setAttribute("aria-label", spoken(view));
    if (!this.#plotly) {
      this.#sketch(view);
      if (this.#hasFailed || view.isEarly) return;
      await painted(); // to load the program keeps the browser busy
      await this.#load();
      if (view !== this.#latest) return; // a newer view came meanwhile
    }
    const axes = JSON.stringify([view.x.name, view.y.name, view.log]);
    if (this.#zoomed.view !== axes) this.#zoomed = { view: axes, ranges: {} };
    const [few, many] = divided(view.points);
    this.#colours = coloursOf(this.element);
    const { data, layout } = figureOf({ ...view, few }, this.#colours, this.#zoomed.ranges);
    // Of many points plotly has none: a step of a brush then changes nothing of what it draws but who is faint
    const key = many && withoutFaintness(data, layout);
    if (key !== null && key === this.#drawn && this.#fade()) return this.#drawMany();
    this.#drawn = key;
    await this.#plotly.react(this.element, data, layout, CONFIG);
    if (!this.#listening) this.#listen();
  }

  // Returns whether it found the points as plotly has drawn them
  #fade() {
    const { faint } = this.#latest.points.front;
    const points = this.element.querySelectorAll(`.trace${FRONT_UID} .points > path`);
    if (points.length !== faint.length) return false;
    points.forEach((point, i) => (point.style.opacity = faint[i] ? FAINT : 1));
    return true;
  }

  async #load() {
    try {
      this.#plotly ??= await loadPlotly();
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    }
  }

  #sketch(view) {
    const { width, height } = this.element.getBoundingClientRect();
    const [few, many] = divided(view.points);
    const { picture, frame } = sketchOf({ ...view, few }, width, height);
    show(this.element, picture);
    this.#sketched = frame;
    this.#many.draw(many, frame, coloursOf(this.element));
  }

  /**
   * Where things are within the element: of x and of y {offset, length, range, log, place(value)} in pixels, the range
   * as the axis scales it; null before the first drawing.
   */
  frame() {
    const layout = this.element._fullLayout;
    if (!layout?.xaxis?._length) return this.#sketched;
    const of = (axis) => ({
      offset: axis._offset,
      length: axis._length,
      range: Array.from(axis.range),
      log: axis.type === "log",
      place: (value) => axis._offset + axis.d2p(value),
    });
    return { x: of(layout.xaxis), y: of(layout.yaxis) };
  }

  resetZoom() {
    this.#zoomed.ranges = {};
    if (this.#latest) this.draw(this.#latest);
  }

  /** Saves what is seen; `deadline` is {metric, limit, name, pick} to be drawn in it, or null. Rejects as `draw` does. */
  async savePicture(name, format, deadline) {
    await this.#load();
    const { width, height } = this.element.getBoundingClientRect();
    const colours = coloursOf(this.element);
    const [few] = divided(this.#latest.points);
    const figure = figureOf({ ...this.#latest, few, deadline }, colours, this.#zoomed.ranges);
    figure.layout.paper_bgcolor = colours.surface;
    const source = this.#many.picture(this.frame(), colours);
    const whole = { xref: "paper", yref: "paper", x: 0, y: 1, sizex: 1, sizey: 1, sizing: "stretch", layer: "below" };
    if (source) figure.layout.images = [{ source, ...whole }];
    const scale = format === "png" ? 2 : 1; // sharp on paper and on dense screens
    return this.#plotly.downloadImage(figure, { format, width, height, scale, filename: name });
  }

  #drawMany() {
    const [, many] = divided(this.#latest.points);
    this.#many.draw(many, this.frame(), this.#colours);
  }

  // The chart's program knows nothing of the points on the canvas, and answers where it has one of its own
  #listenToMany() {
    let [over, down] = [null, null];
    const nearest = (event) => {
      const { left, top } = this.element.getBoundingClientRect();
      return this.#onPoint ? null : this.#many.nearest(event.clientX - left, event.clientY - top);
    };
    this.element.addEventListener("mousemove", (event) => {
      if (event.buttons) return;
      const point = nearest(event);
      if (point?.number === over) return;
      over = point?.number;
      if (point) this.hovered(point.number, { x0: point.x - 4, x1: point.x + 4, y0: point.y - 4, y1: point.y + 4 });
      else if (!this.#onPoint) this.hovered(null);
    });
    this.element.addEventListener("mousedown", (event) => (down = event), { capture: true });
    document.addEventListener("mouseup", (event) => {
      const still = down && Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < 4;
      down = null;
      const point = still && nearest(event);
      if (point) this.picked(point.number);
    });
  }

  #listen() {
    this.#listening = true;
    this.element.querySelector(".front-sketch")?.remove();
    this.#listenToMany();
    this.element.on("plotly_afterplot", () => {
      this.#fade();
      this.#drawMany();
      this.laidOut();
    });
    this.#drawMany();
    this.laidOut();
    this.element.on("plotly_hover", ({ points: [point] }) => {
      this.#onPoint = true;
      if (point?.customdata !== undefined) this.hovered(point.customdata, point.bbox);
    });
    this.element.on("plotly_unhover", () => {
      this.#onPoint = false;
      this.hovered(null);
    });
    this.element.on("plotly_click", ({ points: [point] }) => {
      if (point?.customdata !== undefined) this.picked(point.customdata);
    });
    // Not left to plotly's uirevision: that lets a zoom go as soon as the range of the whole changes
    this.element.on("plotly_relayout", (change) => {
      this.#drawn = null;
      for (const name of ["x", "y"]) {
        const [low, high] = [change[`${name}axis.range[0]`], change[`${name}axis.range[1]`]];
        if (low !== undefined && high !== undefined) this.#zoomed.ranges[name] = [low, high];
      }
    });
    this.element.on("plotly_selected", (drawn) => {
      if (drawn?.range) this.selected({ box: drawn.range });
      else if (drawn?.lassoPoints) this.selected({ lasso: drawn.lassoPoints });
    });
    this.element.on("plotly_doubleclick", () => this.resetZoom());
  }
}

export function coloursOf(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: colour("ink"),
    muted: colour("muted"),
    grid: colour("grid"),
    line: colour("line-strong"),
    dim: colour("dominated"),
    front: colour("front"),
    interval: colour("front-soft"),
    knee: colour("knee"),
    limit: colour("limit"),
    deadline: colour("deadline"),
    surface: colour("surface"),
    font: style.fontFamily,
  };
}

function withoutFaintness(data, layout) {
  return JSON.stringify([
    data.map((trace) => (trace.uid === FRONT_UID ? { ...trace, marker: { ...trace.marker, opacity: 1 } } : trace)),
    layout,
  ]);
}

function painted() {
  return new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
}

function spoken({ x, y, points }) {
  const of = (name) => points[name].numbers.length;
  return (
    `${y.label} against ${x.label}: ${of("front")} trials on the front, ${of("dominated")} dominated, ` +
    `${of("stopped")} stopped early, ${of("infeasible")} over a limit. The table below lists them.`
  );
}
