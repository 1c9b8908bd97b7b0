// Several fronts over each other as one chart: a colour and a shape a job, hollow where another job's member dominates.

import { titleAbove, titleBelow } from "./axis_title.js";
import { h } from "./dom.js";
import { CONFIG, coloursOf } from "./front_chart.js";
import { escaped } from "./front_limits.js";
import { loadPlotly } from "./plotly.js";

/** The colours of the jobs in the order of the address: variables of the style sheet. */
export const PALETTE = ["first", "second", "third", "fourth", "fifth", "sixth"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "triangle-down", "cross"];
const PADDING = 0.07;

export class CompareChart {
  element = h("div", { class: "chart compare-chart", role: "img" });
  #latest = null;
  #listening = false;

  /** `picked("JOB:NUMBER")` is called for a point that is clicked. */
  constructor(picked) {
    this.picked = picked;
    matchMedia("(prefers-color-scheme: dark)").addEventListener(
      "change",
      () => this.#latest && this.draw(this.#latest),
    );
  }

  /** Draws {x, y (metrics), jobs (of the server's comparison), picked (ids)}. */
  async draw(view) {
    this.#latest = view;
    const { x, y, jobs } = view;
    const sizes = jobs.map((job) => `${job.front.length} of ${job.name}`).join(", ");
    this.element.setAttribute(
      "aria-label",
      `${y.label} against ${x.label}: ${sizes}. The table below lists them.`,
    );
    const plotly = await loadPlotly();
    if (view !== this.#latest) return;
    const colours = coloursOf(this.element);
    await plotly.react(this.element, traces(view, this.#palette(), colours), layout(view, colours), CONFIG);
    if (this.#listening) return;
    this.#listening = true;
    this.element.on("plotly_click", ({ points: [point] }) => {
      if (typeof point?.customdata === "string") this.picked(point.customdata);
    });
  }

  #palette() {
    const style = getComputedStyle(this.element);
    return PALETTE.map((name) => style.getPropertyValue(`--compare-${name}`).trim());
  }
}

function traces({ x, y, jobs, picked }, palette, colours) {
  const drawn = jobs.flatMap((job, index) => {
    const members = [...job.front].sort((a, b) => a.metrics[x.name] - b.metrics[x.name]);
    const places = { x: members.map((m) => m.metrics[x.name]), y: members.map((m) => m.metrics[y.name]) };
    const words = (m) =>
      `${escaped(job.name)}, trial ${m.number}<br>${escaped(x.label)}: ${x.write(m.metrics[x.name])}` +
      `<br>${escaped(y.label)}: ${y.write(m.metrics[y.name])}`;
    return [
      {
        type: "scatter",
        mode: "lines",
        name: `${job.id} steps`,
        ...places,
        hoverinfo: "skip",
        opacity: 0.55,
        line: { shape: x.direction === "minimize" ? "hv" : "vh", width: 1.4, color: palette[index] },
      },
      {
        type: "scatter",
        mode: "markers",
        name: job.id,
        ...places,
        customdata: members.map((m) => `${job.id}:${m.number}`),
        text: members.map(words),
        hovertemplate: "%{text}<extra></extra>",
        cliponaxis: false,
        marker: {
          size: 10,
          symbol: members.map((m) => SYMBOLS[index] + (isOpen(m) ? "-open" : "")),
          color: palette[index],
          line: {
            width: members.map((m) => (isOpen(m) ? 1.6 : 1)),
            color: members.map((m) => (isOpen(m) ? palette[index] : colours.surface)),
          },
        },
      },
    ];
  });
  const chosen = jobs.flatMap((job) => job.front.filter((m) => picked.includes(`${job.id}:${m.number}`)));
  return [
    ...drawn,
    {
      type: "scatter",
      mode: "markers",
      name: "picked",
      x: chosen.map((m) => m.metrics[x.name]),
      y: chosen.map((m) => m.metrics[y.name]),
      hoverinfo: "skip",
      marker: { symbol: "circle-open", size: 19, color: colours.ink, line: { width: 2 } },
    },
  ];
}

// Of jobs that are not comparable nobody has said who is dominated
function isOpen(member) {
  return member.on_joint_front === false;
}

function layout({ x, y, jobs }, colours) {
  const members = jobs.flatMap((job) => job.front);
  const axis = (metric) => ({
    range: rangeOf(members.map((m) => m.metrics[metric.name])),
    gridcolor: colours.grid,
    linecolor: colours.line,
    zeroline: false,
    showline: true,
    ticks: "outside",
    ticklen: 4,
    tickcolor: colours.line,
    tickfont: { size: 12, color: colours.muted },
    tickformat: metric.whole ? "~s" : "",
    automargin: true,
    nticks: 8,
  });
  return {
    showlegend: false,
    hovermode: "closest",
    dragmode: false,
    margin: { l: 8, r: 16, t: 34, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: {
      bgcolor: colours.surface,
      bordercolor: colours.line,
      font: { color: colours.ink, size: 12 },
      align: "left",
    },
    font: { family: colours.font, size: 12, color: colours.muted },
    xaxis: { ...axis(x), title: { text: titleBelow(x), font: { size: 12.5, color: colours.ink }, standoff: 8 } },
    yaxis: axis(y),
    annotations: [titleAbove(y, colours)],
  };
}

function rangeOf(values) {
  if (!values.length) return [0, 1];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const padding = (high - low || Math.abs(high) * 0.2 || 1) * PADDING;
  return [low - padding, high + padding];
}
