// The live front as plotly's data and layout: every trial that has both figures, the front bright and joined as a
// staircase, limits shaded. It draws what it is given; who is on the front has been decided by the server.

import { titleAbove, titleBelow } from "./axis_title.js";
import { limitOnAxes } from "./front_limits.js";

/** How faint a member of the front is that is not singled out. */
export const FAINT = 0.3;
/** Plotly's name of the front's points, in the page too. */
export const FRONT_UID = "members";
const PADDING = 0.07;
const LIMIT_REACH = 0.35; // a limit this near to the points, in ranges of theirs, is drawn even where none passes it

/**
 * Returns {data, layout} of a view (see FrontChart.draw), of its points the `few`; `zoomed` holds the ranges that the
 * person chose, by axis.
 */
export function figureOf(view, colours, zoomed) {
  return { data: traces(view, colours), layout: layout(view, colours, zoomed) };
}

function traces({ x, y, few, knee, selected, joined, deadline, at }, colours) {
  const { front, dominated, infeasible, stopped, dimmed, beside } = few;
  const ofTrials = ({ numbers, x: xs, y: ys }, more) => ({
    type: "scatter",
    mode: "markers",
    x: xs,
    y: ys,
    customdata: numbers,
    hoverinfo: "none",
    cliponaxis: false,
    ...more,
  });
  return [
    ofTrials(dimmed, { name: "dimmed", marker: { size: 5, color: colours.dim, opacity: 0.13 } }),
    ofTrials(infeasible, {
      name: "infeasible",
      marker: { symbol: "x-thin", size: 6, opacity: 0.75, line: { width: 1.3, color: colours.limit } },
    }),
    ofTrials(stopped, {
      name: "stopped",
      marker: { symbol: "circle-open", size: 5, opacity: 0.6, line: { width: 1 }, color: colours.dim },
    }),
    ofTrials(dominated, { name: "dominated", marker: { size: 6.5, color: colours.dim, opacity: 0.55 } }),
    ...(beside.numbers.length ? frontBeside(beside, x, y, ofTrials, colours) : []),
    staircase(front, x, y, joined, colours),
    ofTrials(at(knee), {
      name: "knee",
      hoverinfo: "skip",
      marker: { symbol: "diamond-open", size: 20, line: { width: 1.8, color: colours.knee }, color: colours.knee },
    }),
    ofTrials(at(selected), {
      name: "selected",
      hoverinfo: "skip",
      marker: { symbol: "circle-open", size: 17, line: { width: 2 }, color: colours.ink },
    }),
    ofTrials(at(deadline?.pick ?? null), {
      name: "pick",
      hoverinfo: "skip",
      marker: { symbol: "square-open", size: 19, line: { width: 2 }, color: colours.deadline },
    }),
    ofTrials(front, {
      name: "front",
      uid: FRONT_UID,
      marker: {
        size: 9.5,
        color: colours.front,
        line: { width: 1.2, color: colours.surface },
        opacity: front.faint.some(Boolean) ? front.faint.map((faint) => (faint ? FAINT : 1)) : undefined,
      },
      error_x: interval(front.x, front.bounds.x, colours),
      error_y: interval(front.y, front.bounds.y, colours),
    }),
  ];
}

// The edge of what the front reaches
function staircase(front, x, y, joined, colours) {
  return {
    type: "scatter",
    mode: "lines",
    name: "staircase",
    hoverinfo: "skip",
    opacity: 0.7,
    ...(joined ? steps(front, x, y) : { x: [], y: [] }),
    line: { shape: x.direction === "minimize" ? "hv" : "vh", width: 1.5, color: colours.front },
  };
}

// The front on another device, its latencies on the same axis
function frontBeside(beside, x, y, ofTrials, colours) {
  const { line, ...edge } = staircase(beside, x, y, true, colours);
  return [
    { ...edge, name: "staircase beside", line: { ...line, width: 1.3, dash: "4px,4px", color: colours.muted } },
    ofTrials(beside, {
      name: "beside",
      marker: { symbol: "circle-open", size: 9, line: { width: 1.6 }, color: colours.muted },
    }),
  ];
}

/** The corners of a front {x, y}: from member to member, and from its two ends on towards the worse. */
export function steps(front, x, y) {
  const members = front.x.map((value, i) => [value, front.y[i]]).sort((a, b) => a[0] - b[0]);
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

function interval(values, bounds, colours) {
  if (!bounds) return undefined;
  return {
    type: "data",
    symmetric: false,
    array: bounds.upper.map((upper, i) => upper - values[i]),
    arrayminus: bounds.lower.map((lower, i) => values[i] - lower),
    thickness: 5,
    width: 0,
    color: colours.interval,
  };
}

/** The range of each axis in which all points of a view are, as the axis scales it. */
export function rangesOf({ x, y, points, log, constraints }) {
  const limits = (metric) => constraints.filter((c) => c.metric === metric.name);
  const of = (name, metric) => rangeOf(Object.values(points), name, log.includes(name), limits(metric));
  return { x: of("x", x), y: of("y", y) };
}

function layout(view, colours, zoomed) {
  const { x, y, points, log, constraints, deadline, drag } = view;
  const groups = Object.values(points);
  const ranges = rangesOf(view);
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
    showticklabels: groups.some((group) => group.numbers.length),
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
    dragmode: matchMedia("(pointer: coarse)").matches ? false : drag,
    selections: [], // what was drawn is told of at once, and then shown by what it singles out
    margin: { l: 8, r: 16, t: 34, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: colours.font, size: 12, color: colours.muted },
    xaxis: {
      ...axis(x, "x"),
      title: { text: titleBelow(x), font: { size: 12.5, color: colours.ink }, standoff: 10 },
    },
    yaxis: axis(y, "y"),
    shapes: shaded.map((s) => s.shape).concat(shaded.map((s) => s.line)),
    annotations: [titleAbove(y, colours), ...shaded.map((s) => s.label)],
  };
}

// Of a logarithm what is not above zero has no place
function extentOf(columns, isPositive) {
  let [low, high] = [Infinity, -Infinity];
  for (const values of columns) {
    for (let i = 0; i < values.length; i += 1) {
      const value = values[i];
      if (isPositive && !(value > 0)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return [low, high];
}

function rangeOf(groups, axis, isLog, limits) {
  const scale = isLog ? Math.log10 : (value) => value;
  const extent = extentOf(
    groups.map((group) => group[axis]),
    isLog,
  );
  let [low, high] = extent.map(scale);
  if (extent[0] > extent[1]) return isLog ? [0, 1] : [0, 1.05];
  const span = high - low || Math.abs(high) * 0.2 || 1;
  for (const { limit } of limits) {
    const at = scale(limit);
    if (at > high && at < high + span * LIMIT_REACH) high = at;
    if (at < low && at > low - span * LIMIT_REACH) low = at;
  }
  const padded = Math.max(high - low, span * 0.5) * PADDING;
  return [low - padded, high + padded];
}
