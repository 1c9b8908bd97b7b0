// The front before the chart's program is there, which a browser that never saw it compiles for a second: points, axes
// and the staircase, to be looked at. It draws what it is given, in the place where the chart will be.

import { linesOf } from "./axis_title.js";
import { svg } from "./dom.js";
import { rangesOf, steps } from "./front_figure.js";
import { siShort } from "./format.js";

const TOP = 34;
const RIGHT = 16;
const SIDE = 8;
const TICK = 4;
const DIGIT_PX = 6.7; // of 12 px type
const LINE = 16;
// A path for all of a kind: a dot is a line without length and with round ends
const SMALL = { dimmed: "h0", infeasible: "m-2-2l4 4m0-4l-4 4", stopped: "h0", dominated: "h0" };
const FAR = 1e4; // further than any chart is wide, and still exact in every browser's drawing

/**
 * Returns {picture, frame}: a view (see FrontChart.draw), of its points the `few`, as an SVG element of these pixels, and
 * where things are in it (see FrontChart.frame).
 */
export function sketchOf(view, width, height) {
  const { x, y, points, log } = view;
  const ranges = rangesOf(view);
  const isEmpty = Object.values(points).every((group) => !group.numbers.length);
  const most = { x: Math.max(2, width / 110), y: 8 };
  const [ticksX, ticksY] = ["x", "y"].map((name) =>
    isEmpty ? [] : ticksOf(ranges[name], log.includes(name), most[name], name === "x" ? x : y),
  );
  const left = SIDE + TICK + 3 + DIGIT_PX * Math.max(0, ...ticksY.map(({ text }) => text.length));
  const titles = linesOf(x, "below");
  const bottom = SIDE + TICK + 21 + LINE * titles.length;
  const frame = {
    x: axis(ranges.x, log.includes("x"), left, Math.max(1, width - left - RIGHT), 1),
    y: axis(ranges.y, log.includes("y"), TOP, Math.max(1, height - TOP - bottom), -1),
  };
  const picture = svg(
    "svg",
    { class: "front-sketch", "aria-hidden": "true", width, height },
    grid(frame, ticksX, ticksY),
    limitLines(view, frame),
    shapes(view, frame),
    svg("text", { class: "sketch-title", x: left - 5, y: TOP - 17 }, linesOf(y, "above").join("  ")),
    titles.map((line, i) =>
      svg(
        "text",
        {
          class: "sketch-title sketch-below",
          x: frame.x.offset + frame.x.length / 2,
          y: height - SIDE - LINE * (titles.length - 1 - i),
        },
        line,
      ),
    ),
  );
  return { picture, frame };
}

function axis([low, high], log, offset, length, direction) {
  const scaled = log ? Math.log10 : (value) => value;
  const share = (value) => (scaled(value) - low) / (high - low);
  const place = (value) => offset + length * (direction > 0 ? share(value) : 1 - share(value));
  return { offset, length, range: [low, high], log, place: (value) => within(place(value)) };
}

// What has no logarithm is outside, as it is where the chart's program draws
function within(pixels) {
  return Number.isNaN(pixels) ? -FAR : Math.max(-FAR, Math.min(FAR, pixels));
}

function grid({ x, y }, ticksX, ticksY) {
  const bottom = y.offset + y.length;
  return [
    ticksX.map(({ value, text }) => [
      svg("path", { class: "sketch-grid", d: `M${x.place(value)} ${y.offset}V${bottom + TICK}` }),
      svg("text", { class: "sketch-below", x: x.place(value), y: bottom + TICK + 15 }, text),
    ]),
    ticksY.map(({ value, text }) => [
      svg("path", { class: "sketch-grid", d: `M${x.offset - TICK} ${y.place(value)}h${TICK + x.length}` }),
      svg("text", { class: "sketch-beside", x: x.offset - TICK - 3, y: y.place(value) + 4 }, text),
    ]),
    svg("path", { class: "sketch-axis", d: `M${x.offset} ${bottom}h${x.length}` }),
  ];
}

function limitLines({ x, y, constraints }, frame) {
  const inside = ({ offset, length }, at) => at >= offset && at <= offset + length;
  return constraints.map(({ metric, limit }) => {
    if (metric === x.name && inside(frame.x, frame.x.place(limit)))
      return svg("path", { class: "sketch-limit", d: `M${frame.x.place(limit)} ${frame.y.offset}v${frame.y.length}` });
    if (metric === y.name && inside(frame.y, frame.y.place(limit)))
      return svg("path", { class: "sketch-limit", d: `M${frame.x.offset} ${frame.y.place(limit)}h${frame.x.length}` });
    return null;
  });
}

function shapes({ x, y, few, at, knee, selected, joined }, frame) {
  const { front, beside } = few;
  const centres = ({ x: xs, y: ys }) => Array.from(xs, (value, i) => [frame.x.place(value), frame.y.place(ys[i])]);
  const around = (number, draw) => centres(at(number)).map(([left, top]) => draw(left, top));
  const interval = (name) => {
    if (!front.bounds[name]) return [];
    const { lower, upper } = front.bounds[name];
    const [from, to] = [lower, upper].map((ends) => centres({ ...front, [name]: ends }));
    return from.map(([left, top], i) => svg("path", { class: "sketch-interval", d: `M${left} ${top}L${to[i]}` }));
  };
  return [
    Object.entries(SMALL).map(([name, mark]) =>
      svg("path", { class: `sketch-${name}`, d: centres(few[name]).map((place) => `M${place}${mark}`).join("") }),
    ),
    joined && staircase(steps(front, x, y), x, frame, "sketch-steps"),
    joined && beside.numbers.length > 0 && staircase(steps(beside, x, y), x, frame, "sketch-steps-beside"),
    centres(beside).map(([cx, cy]) => svg("circle", { class: "sketch-beside-point", cx, cy, r: 4.5 })),
    ["x", "y"].map(interval),
    around(knee, (left, top) => svg("path", { class: "sketch-knee", d: `M${left} ${top - 13}l13 13l-13 13l-13-13Z` })),
    around(selected, (cx, cy) => svg("circle", { class: "sketch-selected", cx, cy, r: 8.5 })),
    centres(front).map(([cx, cy], i) =>
      svg("circle", { class: front.faint[i] ? "sketch-front sketch-faint" : "sketch-front", cx, cy, r: 4.75 }),
    ),
  ];
}

// A picture of its own, which cuts off what is beyond the plot
function staircase({ x: xs, y: ys }, metric, frame, name) {
  const turns = xs.slice(1).map((value, i) => {
    const [left, top] = [frame.x.place(value) - frame.x.offset, frame.y.place(ys[i + 1]) - frame.y.offset];
    return metric.direction === "minimize" ? `H${left}V${top}` : `V${top}H${left}`;
  });
  if (!turns.length) return null;
  const start = `M${frame.x.place(xs[0]) - frame.x.offset} ${frame.y.place(ys[0]) - frame.y.offset}`;
  return svg(
    "svg",
    { x: frame.x.offset, y: frame.y.offset, width: frame.x.length, height: frame.y.length },
    svg("path", { class: name, d: start + turns.join("") }),
  );
}

// At 1, 2 and 5 times a power of ten, or at steps of that
function ticksOf([low, high], log, most, metric) {
  const [from, to] = log ? [10 ** low, 10 ** high] : [low, high];
  const values = log && high - low > 1 ? decades(low, high) : evenly(from, to, most);
  const step = values.length > 1 ? values[1] - values[0] : 1;
  const digits = Math.min(12, Math.max(0, -Math.floor(Math.log10(Math.abs(step)) + 1e-9)));
  const write = (value) => (metric.whole ? siShort(value).replace(" ", "") : value.toFixed(digits).replace("-", "−"));
  return values.map((value) => ({ value, text: write(value) }));
}

function decades(low, high) {
  const powers = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, i) => Math.floor(low) + i);
  const values = powers.flatMap((power) => [1, 2, 5].map((digit) => digit * 10 ** power));
  return values.filter((value) => value >= 10 ** low && value <= 10 ** high);
}

function evenly(from, to, most) {
  const power = 10 ** Math.floor(Math.log10((to - from) / most));
  const step = [1, 2, 5, 10].find((digit) => digit * power * most >= to - from) * power;
  const first = Math.ceil(from / step - 1e-9);
  return Array.from({ length: Math.floor(to / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}
