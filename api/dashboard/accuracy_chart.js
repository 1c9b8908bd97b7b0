// Whole models of a latency table: predicted against measured, with the stated interval and the diagonal.

import { h } from "./dom.js";
import { significant } from "./format.js";
import { CONFIG, coloursOf } from "./front_chart.js";
import { loadPlotly } from "./plotly.js";

const LOG_FROM = 30; // times the fastest model, from which on only a logarithm shows them all

export class AccuracyChart {
  element = h("div", { class: "chart accuracy-chart", role: "img" });
  #latest = null;

  constructor() {
    matchMedia("(prefers-color-scheme: dark)").addEventListener(
      "change",
      () => this.#latest && this.draw(this.#latest),
    );
  }

  /** Draws the models of a table's report. */
  async draw(models) {
    this.#latest = models;
    const outside = models.filter((model) => !model.inside).length;
    this.element.setAttribute(
      "aria-label",
      `Predicted against measured latency of ${models.length} whole models, ${outside} outside of their interval. ` +
        "The table below lists them.",
    );
    const plotly = await loadPlotly();
    if (models !== this.#latest) return;
    await plotly.react(
      this.element,
      traces(models, coloursOf(this.element)),
      layout(models, coloursOf(this.element)),
      {
        ...CONFIG,
        responsive: true,
      },
    );
  }
}

function traces(models, colours) {
  const ends = [0.5, 2].map((factor, end) => factor * edge(models, end ? Math.max : Math.min));
  const points = (name, list, colour) => ({
    type: "scatter",
    mode: "markers",
    name,
    x: list.map((model) => model.measured_ms),
    y: list.map((model) => model.predicted_ms),
    customdata: list.map((model) => model.architecture_id),
    text: list.map(
      (m) =>
        `${significant(m.measured_ms)} ms measured<br>${significant(m.predicted_ms)} ms predicted` +
        `<br>${significant(m.lower_ms)} to ${significant(m.upper_ms)} ms stated`,
    ),
    hovertemplate: "%{text}<extra></extra>",
    marker: { size: 7.5, color: colour, line: { width: 1, color: colours.surface } },
    error_y: {
      type: "data",
      symmetric: false,
      array: list.map((m) => m.upper_ms - m.predicted_ms),
      arrayminus: list.map((m) => m.predicted_ms - m.lower_ms),
      thickness: 4,
      width: 0,
      color: colours.interval,
    },
  });
  return [
    {
      type: "scatter",
      mode: "lines",
      name: "diagonal",
      x: ends,
      y: ends,
      hoverinfo: "skip",
      line: { width: 1.2, dash: "dash", color: colours.dim },
    },
    points(
      "inside",
      models.filter((model) => model.inside),
      colours.front,
    ),
    points(
      "outside",
      models.filter((model) => !model.inside),
      colours.limit,
    ),
  ];
}

function edge(models, most) {
  return most(...models.flatMap((m) => [m.measured_ms, m.predicted_ms, m.lower_ms, m.upper_ms]));
}

function layout(models, colours) {
  const [low, high] = [edge(models, Math.min), edge(models, Math.max)];
  const isLog = high / low > LOG_FROM;
  const scale = isLog ? Math.log10 : (value) => value;
  const padding = (scale(high) - scale(low) || scale(high) * 0.1 || 1) * 0.06;
  const axis = (title) => ({
    type: isLog ? "log" : "linear",
    range: [scale(low) - padding, scale(high) + padding],
    title: { text: title, font: { size: 12.5, color: colours.ink }, standoff: 8 },
    gridcolor: colours.grid,
    linecolor: colours.line,
    showline: true,
    zeroline: false,
    ticks: "outside",
    ticklen: 4,
    tickcolor: colours.line,
    tickfont: { size: 12, color: colours.muted },
    automargin: true,
    nticks: 7,
  });
  return {
    showlegend: false,
    hovermode: "closest",
    dragmode: false,
    margin: { l: 8, r: 12, t: 8, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { bgcolor: colours.surface, bordercolor: colours.line, font: { color: colours.ink, size: 12 } },
    font: { family: colours.font, size: 12, color: colours.muted },
    xaxis: axis("Measured, ms"),
    yaxis: axis("Predicted, ms"),
  };
}
