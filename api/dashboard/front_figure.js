// The live front as plotly's data and layout: every trial that has both figures, the front bright and joined as a
// staircase, limits shaded. It draws what it is given; who is on the front has been decided by the server.

import { escaped, limitOnAxes } from "./front_limits.js";
import { intervalOf } from "./metrics.js";

const PADDING = 0.07;
const LIMIT_REACH = 0.35; // a limit this near to the points, in ranges of theirs, is drawn even where none passes it

/** Returns {data, layout} of a view (see FrontChart.draw); `zoomed` holds the ranges that the person chose, by axis. */
export function figureOf(view, colours, zoomed) {
  return { data: traces(view, colours), layout: layout(view, colours, zoomed) };
}

function traces({ x, y, points, knee, selected, joined, deadline }, colours) {
  const { front, dominated, infeasible, stopped } = points;
  const all = [...front, ...dominated, ...infeasible, ...stopped];
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
    ofTrials(stopped, {
      name: "stopped",
      marker: { symbol: "circle-open", size: 5, opacity: 0.6, line: { width: 1 }, color: colours.dim },
    }),
    ofTrials(dominated, { name: "dominated", marker: { size: 6.5, color: colours.dim, opacity: 0.55 } }),
    {
      type: "scatter",
      mode: "lines",
      name: "staircase",
      hoverinfo: "skip",
      opacity: 0.7,
      ...(joined ? steps(front, x, y) : { x: [], y: [] }),
      line: { shape: x.direction === "minimize" ? "hv" : "vh", width: 1.5, color: colours.front },
    },
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
    ofTrials(marked(deadline?.pick), {
      name: "pick",
      hoverinfo: "skip",
      marker: { symbol: "square-open", size: 19, line: { width: 2 }, color: colours.deadline },
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
  const members = [...front]
    .sort((a, b) => a.metrics[x.name] - b.metrics[x.name])
    .map(({ metrics }) => [metrics[x.name], metrics[y.name]]);
  if (!members.length) return { x: [], y: [] };
  const worse = (metric, value) =>
    metric.direction === "minimize" ? Math.max(1e15, value) : value > 0 ? 1e-15 : -1e15;
  const [first, last] = [members[0], members.at(-1)];
  const points =
    x.direction === "minimize"
      ? [[first[0], worse(y, first[1])], ...members, [worse(x, last[0]), last[1]]]
      : [[worse(x, first[0]), first[1]], ...members, [last[0], worse(y, last[1])]];
  return { x: points.map((point) => point[0]), y: points.map((point) => point[1]) };
}

function interval(trials, metric, colours) {
  const bounds = intervalOf(metric.name);
  if (!bounds || !trials.every((trial) => bounds.upper in trial.metrics && bounds.lower in trial.metrics))
    return undefined;
  return {
    type: "data",
    symmetric: false,
    array: trials.map((trial) => trial.metrics[bounds.upper] - trial.metrics[metric.name]),
    arrayminus: trials.map((trial) => trial.metrics[metric.name] - trial.metrics[bounds.lower]),
    thickness: 5,
    width: 0,
    color: colours.interval,
  };
}

function layout({ x, y, points, log, constraints, deadline }, colours, zoomed) {
  const trials = [...points.front, ...points.dominated, ...points.infeasible, ...points.stopped];
  const limits = (metric) => constraints.filter((c) => c.metric === metric.name);
  const ranges = {
    x: rangeOf(trials, x, log.includes("x"), limits(x)),
    y: rangeOf(trials, y, log.includes("y"), limits(y)),
  };
  const axis = (metric, name) => ({
    type: log.includes(name) ? "log" : "linear",
    range: zoomed[name] ?? ranges[name],
    gridcolor: colours.grid,
    linecolor: colours.line,
    zeroline: false,
    showline: name === "x",
    ticks: "outside",
    ticklen: 4,
    tickcolor: colours.line,
    tickfont: { size: 12, color: colours.muted },
    tickformat: metric.whole ? "~s" : log.includes(name) ? ".4~g" : "",
    dtick: log.includes(name) && ranges[name][1] - ranges[name][0] > 1 && !zoomed[name] ? "D2" : undefined, // 1, 2, 5
    showticklabels: trials.length > 0,
    automargin: true,
    nticks: name === "x" ? undefined : 8,
  });
  const shaded = constraints.flatMap((c) => limitOnAxes(c, x, y, log, ranges, colours));
  if (deadline && deadline.limit !== null) {
    const limit = { ...deadline, operator: "<=" };
    shaded.push(...limitOnAxes(limit, x, y, log, ranges, { ...colours, limit: colours.deadline }));
  }
  return {
    showlegend: false,
    hovermode: "closest",
    hoverdistance: 16,
    // On a touch screen a swipe over the chart must scroll the page
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    margin: { l: 8, r: 16, t: 34, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: colours.font, size: 12, color: colours.muted },
    xaxis: {
      ...axis(x, "x"),
      title: { text: titleOf(x), font: { size: 12.5, color: colours.ink }, standoff: 10 },
    },
    yaxis: axis(y, "y"),
    shapes: shaded.map((s) => s.shape).concat(shaded.map((s) => s.line)),
    annotations: [
      // Upright, above its axis: quicker to read than text on its side, and it costs no width on a phone
      {
        xref: "paper",
        yref: "paper",
        x: 0,
        y: 1,
        xanchor: "left",
        yanchor: "bottom",
        xshift: -6,
        yshift: 12,
        showarrow: false,
        text: titleOf(y),
        font: { size: 12.5, color: colours.ink },
      },
      ...shaded.map((s) => s.label),
    ],
  };
}

function titleOf(metric) {
  const unit = metric.unit ? `, ${metric.unit}` : "";
  const label = metric.quality ? "proxy, " : "";
  return escaped(`${metric.label}${unit}  (${label}${metric.direction === "minimize" ? "lower" : "higher"} is better)`);
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
