// The live front: every trial that has both figures, the front bright and joined as a staircase, limits shaded.
// It draws what it is given; who is on the front has been decided by the server.

import { h } from "./dom.js";
import { intervalOf } from "./metrics.js";

const SCRIPT = "/static/plotly.min.js";
const CONFIG = {
  displayModeBar: false, // the buttons above the chart do the same, and can be reached by keyboard
  displaylogo: false,
  showSendToCloud: false,
  doubleClick: false, // answered here: plotly would go back to the range of the first drawing
  responsive: true,
  scrollZoom: false,
  showTips: false,
};
const PADDING = 0.07;
const LIMIT_REACH = 0.35; // a limit this near to the points, in ranges of theirs, is drawn even where none passes it

let script = null;

/** Loads plotly once; rejects with a sentence for a person. */
export function loadPlotly() {
  script ??= new Promise((resolve, reject) => {
    const element = h("script", { src: SCRIPT });
    element.addEventListener("load", () => resolve(window.Plotly));
    element.addEventListener("error", () => {
      script = null;
      element.remove();
      reject(new Error("The chart's program could not be loaded. The table below shows the same trials."));
    });
    document.head.append(element);
  });
  return script;
}

export class FrontChart {
  element = h("div", { class: "chart", role: "img" });
  #plotly = null;
  #zoom = 0;
  #latest = null;
  #listening = false;

  /** `hovered(number | null, box)` and `picked(number)` are told what the pointer does. */
  constructor(hovered, picked) {
    this.hovered = hovered;
    this.picked = picked;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#latest && this.draw(this.#latest));
  }

  /**
   * Draws {x, y (metrics), points: {front, dominated, infeasible} (trials), knee, selected (numbers or null), joined,
   * log, constraints}. Zoom and pan stay until the axes change or `resetZoom` is called.
   */
  async draw(view) {
    this.#latest = view;
    this.#plotly ??= await loadPlotly();
    if (view !== this.#latest) return; // a newer view came while plotly was loading
    this.element.setAttribute("aria-label", spoken(view));
    const colours = coloursOf(this.element);
    await this.#plotly.react(this.element, traces(view, colours), layout(view, colours, this.#zoom), CONFIG);
    if (!this.#listening) this.#listen();
  }

  resetZoom() {
    this.#zoom += 1;
    if (this.#latest) this.draw(this.#latest);
  }

  savePicture(name) {
    const { width, height } = this.element.getBoundingClientRect();
    return this.#plotly.downloadImage(this.element, { format: "svg", width, height, filename: name });
  }

  #listen() {
    this.#listening = true;
    this.element.on("plotly_hover", ({ points: [point] }) => {
      if (point?.customdata !== undefined) this.hovered(point.customdata, point.bbox);
    });
    this.element.on("plotly_unhover", () => this.hovered(null));
    this.element.on("plotly_click", ({ points: [point] }) => {
      if (point?.customdata !== undefined) this.picked(point.customdata);
    });
    this.element.on("plotly_doubleclick", () => this.resetZoom());
  }
}

function traces({ x, y, points, knee, selected, joined }, colours) {
  const { front, dominated, infeasible } = points;
  const all = [...front, ...dominated, ...infeasible];
  const marked = (number) => all.filter((trial) => trial.number === number);
  const ofTrials = (trials, more) => ({
    type: "scatter",
    mode: "markers",
    x: trials.map((trial) => trial.metrics[x.name]),
    y: trials.map((trial) => trial.metrics[y.name]),
    customdata: trials.map((trial) => trial.number),
    hoverinfo: "none",
    cliponaxis: false,
    ...more,
  });
  return [
    ofTrials(infeasible, {
      name: "infeasible",
      marker: { symbol: "x-thin", size: 6, opacity: 0.75, line: { width: 1.3, color: colours.limit } },
    }),
    ofTrials(dominated, { name: "dominated", marker: { size: 6.5, color: colours.dim, opacity: 0.55 } }),
    { type: "scatter", mode: "lines", name: "staircase", hoverinfo: "skip", opacity: 0.7, ...(joined ? steps(front, x, y) : { x: [], y: [] }),
      line: { shape: x.direction === "minimize" ? "hv" : "vh", width: 1.6, color: colours.front } },
    ofTrials(marked(knee), {
      name: "knee",
      hoverinfo: "skip",
      marker: { symbol: "diamond-open", size: 20, line: { width: 1.8, color: colours.knee }, color: colours.knee },
    }),
    ofTrials(marked(selected), {
      name: "selected",
      hoverinfo: "skip",
      marker: { symbol: "circle-open", size: 17, line: { width: 2 }, color: colours.ink },
    }),
    ofTrials(front, {
      name: "front",
      marker: { size: 9.5, color: colours.front, line: { width: 1.2, color: colours.surface } },
      error_x: interval(front, x, colours),
      error_y: interval(front, y, colours),
    }),
  ];
}

// The edge of what the front reaches: from member to member, and from its two ends on towards the worse
function steps(front, x, y) {
  const members = [...front].sort((a, b) => a.metrics[x.name] - b.metrics[x.name]).map(({ metrics }) => [metrics[x.name], metrics[y.name]]);
  if (!members.length) return { x: [], y: [] };
  const worse = (metric, value) => (metric.direction === "minimize" ? Math.max(1e15, value) : value > 0 ? 1e-15 : -1e15);
  const [first, last] = [members[0], members.at(-1)];
  const points = x.direction === "minimize"
    ? [[first[0], worse(y, first[1])], ...members, [worse(x, last[0]), last[1]]]
    : [[worse(x, first[0]), first[1]], ...members, [last[0], worse(y, last[1])]];
  return { x: points.map((point) => point[0]), y: points.map((point) => point[1]) };
}

function interval(trials, metric, colours) {
  const bounds = intervalOf(metric.name);
  if (!bounds || !trials.every((trial) => bounds.upper in trial.metrics && bounds.lower in trial.metrics)) return undefined;
  return {
    type: "data",
    symmetric: false,
    array: trials.map((trial) => trial.metrics[bounds.upper] - trial.metrics[metric.name]),
    arrayminus: trials.map((trial) => trial.metrics[metric.name] - trial.metrics[bounds.lower]),
    thickness: 1.2,
    width: 0,
    color: colours.front,
  };
}

function layout({ x, y, points, log, constraints }, colours, zoom) {
  const trials = [...points.front, ...points.dominated, ...points.infeasible];
  const limits = (metric) => constraints.filter((c) => c.metric === metric.name);
  const ranges = {
    x: rangeOf(trials, x, log.includes("x"), limits(x)),
    y: rangeOf(trials, y, log.includes("y"), limits(y)),
  };
  const axis = (metric, name) => ({
    type: log.includes(name) ? "log" : "linear",
    range: ranges[name],
    uirevision: `${metric.name} ${log.includes(name)} ${zoom}`,
    gridcolor: colours.grid,
    linecolor: colours.line,
    zeroline: false,
    showline: name === "x",
    ticks: "outside",
    ticklen: 4,
    tickcolor: colours.line,
    tickfont: { size: 12, color: colours.muted },
    tickformat: metric.whole ? "~s" : "",
    automargin: true,
    nticks: name === "x" ? undefined : 8,
    ...(log.includes(name) ? { dtick: undefined, minor: { showgrid: false } } : {}),
  });
  const shaded = constraints.flatMap((c) => limitShapes(c, x, y, log, ranges, colours));
  return {
    uirevision: "kept", // of what has no revision of its own
    datarevision: Math.random(),
    showlegend: false,
    hovermode: "closest",
    hoverdistance: 16,
    // On a touch screen a swipe over the chart must scroll the page
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    margin: { l: 8, r: 16, t: 34, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: colours.font, size: 12, color: colours.muted },
    xaxis: { ...axis(x, "x"), title: { text: titleOf(x), font: { size: 12.5, color: colours.ink }, standoff: 10 } },
    yaxis: axis(y, "y"),
    shapes: shaded.map((s) => s.shape).concat(shaded.map((s) => s.line)),
    annotations: [
      // Upright, above its axis: quicker to read than text on its side, and it costs no width on a phone
      {
        xref: "paper", yref: "paper", x: 0, y: 1, xanchor: "left", yanchor: "bottom", xshift: -6, yshift: 12, showarrow: false,
        text: titleOf(y), font: { size: 12.5, color: colours.ink },
      },
      ...shaded.map((s) => s.label),
    ],
  };
}

function titleOf(metric) {
  const unit = metric.unit ? `, ${metric.unit}` : "";
  return escaped(`${metric.label}${unit}  (${metric.direction === "minimize" ? "lower" : "higher"} is better)`);
}

// plotly reads a few tags and entities in its texts
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function rangeOf(trials, metric, isLog, limits) {
  const scale = isLog ? Math.log10 : (value) => value;
  const values = trials.map((trial) => scale(trial.metrics[metric.name])).filter(Number.isFinite);
  if (!values.length) return isLog ? [0, 1] : [0, 1.05];
  let low = values.reduce((a, b) => Math.min(a, b));
  let high = values.reduce((a, b) => Math.max(a, b));
  const span = high - low || Math.abs(high) * 0.2 || 1;
  for (const { limit } of limits) {
    const at = scale(limit);
    if (at > high && at < high + span * LIMIT_REACH) high = at;
    if (at < low && at > low - span * LIMIT_REACH) low = at;
  }
  const padded = Math.max(high - low, span * 0.5) * PADDING;
  return [low - padded, high + padded];
}

// A limit on an axis that is shown: the far side shaded, its edge drawn and named. Far off the chart, nothing.
function limitShapes(constraint, x, y, log, ranges, colours) {
  return [["x", x], ["y", y]].filter(([, metric]) => metric.name === constraint.metric).flatMap(([name, metric]) => {
    const isLog = log.includes(name);
    if (isLog && constraint.limit <= 0) return [];
    const at = isLog ? Math.log10(constraint.limit) : constraint.limit;
    const [low, high] = ranges[name];
    if (at < low || at > high) return [];
    const upper = constraint.operator === "<=";
    const far = upper ? at + (high - low) * 50 : at - (high - low) * 50;
    const value = (position) => (isLog ? 10 ** position : position); // shapes take values, annotations logarithms
    const across = name === "x" ? { xref: "x", yref: "paper", y0: 0, y1: 1 } : { yref: "y", xref: "paper", x0: 0, x1: 1 };
    return [{
      shape: {
        type: "rect", ...across, [`${name}0`]: constraint.limit, [`${name}1`]: isLog ? value(Math.min(far, 300)) : far,
        fillcolor: colours.limit, opacity: 0.07, line: { width: 0 }, layer: "below",
      },
      line: {
        type: "line", ...across, [`${name}0`]: constraint.limit, [`${name}1`]: constraint.limit,
        line: { color: colours.limit, width: 1.2, dash: "5px,4px" }, layer: "below",
      },
      label: name === "x"
        ? { x: at, xref: "x", y: 1, yref: "paper", xanchor: upper ? "right" : "left", yanchor: "top", xshift: upper ? -4 : 4,
            ...limitLabel(constraint, metric, colours) }
        : { y: at, yref: "y", x: 1, xref: "paper", xanchor: "right", yanchor: upper ? "top" : "bottom",
            ...limitLabel(constraint, metric, colours) },
    }];
  });
}

function limitLabel(constraint, metric, colours) {
  const text = escaped(`limit ${constraint.operator === "<=" ? "≤" : "≥"} ${metric.writeLimit(constraint.limit)}`);
  return { text, showarrow: false, font: { size: 11.5, color: colours.limit } };
}

function coloursOf(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: colour("ink"), muted: colour("muted"), grid: colour("grid"), line: colour("line-strong"), dim: colour("dominated"),
    front: colour("front"), knee: colour("knee"), limit: colour("limit"), surface: colour("surface"), font: style.fontFamily,
  };
}

function spoken({ x, y, points }) {
  return `${y.label} against ${x.label}: ${points.front.length} trials on the front, ${points.dominated.length} dominated, `
    + `${points.infeasible.length} over a limit. The table below lists them.`;
}
