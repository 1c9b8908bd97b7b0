// The points of a chart that are too many for elements of their own: on a canvas under it, a hundred thousand in a few
// hundredths of a second, and without a graphics card.

import { h } from "./dom.js";

/** From so many points on they are drawn here. */
export const MANY = 3_000;
const NEAR_PX = 9;
const CROWD = 8_000; // of more points each is fainter, so that where they are dense can still be seen
const LOOKS = {
  dimmed: { size: 2, opacity: 0.1 },
  infeasible: { size: 2.5, opacity: 0.35, colour: "limit" },
  stopped: { size: 2, opacity: 0.4 },
  dominated: { size: 3, opacity: 0.4 },
};

/** Returns [points for the chart's program, points for the canvas]; the front is never among the second. */
export function divided(points) {
  const names = Object.keys(LOOKS);
  const total = names.reduce((sum, name) => sum + points[name].numbers.length, 0);
  if (total < MANY) return [points, null];
  const none = { numbers: [], x: [], y: [] };
  return [
    { ...points, ...Object.fromEntries(names.map((name) => [name, none])) },
    Object.fromEntries(names.map((name) => [name, points[name]])),
  ];
}

export class ManyPoints {
  element = h("canvas", { class: "many-points", "aria-hidden": "true" });
  #points = null;
  #placed = { numbers: [], x: new Float32Array(0), y: new Float32Array(0) };

  /** Draws points (null: none) on a chart of this `frame` (see FrontChart.frame), in `colours`. */
  draw(points, frame, colours) {
    this.#points = points;
    const { clientWidth: width, clientHeight: height } = this.element;
    const scale = devicePixelRatio || 1;
    const context = cleared(this.element, Math.round(width * scale), Math.round(height * scale));
    this.#placed = { numbers: [], x: new Float32Array(0), y: new Float32Array(0) };
    if (points && frame) this.#placed = paint(context, points, frame, colours, scale);
  }

  /** The same points as an image of the chart's plot alone, as an address; null where there are none. */
  picture(frame, colours) {
    if (!this.#points || !frame) return null;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [2 * frame.x.length, 2 * frame.y.length];
    const [x, y] = [frame.x, frame.y].map((axis) => ({ ...axis, offset: 0, place: (v) => axis.place(v) - axis.offset }));
    paint(canvas.getContext("2d"), this.#points, { x, y }, colours, 2);
    return canvas.toDataURL();
  }

  /** The trial whose point is nearest to a place within the element, null where none is near: {number, x, y}. */
  nearest(left, top) {
    const { numbers, x, y } = this.#placed;
    let [best, found] = [NEAR_PX * NEAR_PX, null];
    for (let i = 0; i < numbers.length; i += 1) {
      const [dx, dy] = [x[i] - left, y[i] - top];
      const distance = dx * dx + dy * dy;
      if (distance < best) [best, found] = [distance, i];
    }
    return found === null ? null : { number: numbers[found], x: x[found], y: y[found] };
  }
}

/** Returns the context of a canvas of that size with nothing on it: to give it the size that it has takes time as well. */
export function cleared(canvas, width, height) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  return context;
}

// Pixel by pixel: to ask the canvas for a hundred thousand squares takes twenty times as long
function paint(context, points, frame, colours, scale) {
  const plot = [frame.x.offset, frame.y.offset, frame.x.length, frame.y.length].map((at) => Math.round(at * scale));
  const [left, top, width, height] = [plot[0], plot[1], Math.max(1, plot[2]), Math.max(1, plot[3])];
  const image = context.createImageData(width, height);
  const covered = new Uint8ClampedArray(width * height); // how many points of a group lie on each pixel
  const total = Object.values(points).reduce((sum, group) => sum + group.numbers.length, 0);
  const placed = { numbers: new Int32Array(total), x: new Float32Array(total), y: new Float32Array(total) };
  let at = 0;
  const [placeX, placeY] = [placerOf(frame.x), placerOf(frame.y)];
  for (const [name, { size, opacity, colour }] of Object.entries(LOOKS)) {
    const { numbers, x, y } = points[name];
    if (!numbers.length) continue;
    const side = Math.max(1, Math.round(size * scale));
    covered.fill(0);
    for (let i = 0; i < numbers.length; i += 1) {
      placed.numbers[at] = numbers[i];
      placed.x[at] = placeX(x[i]);
      placed.y[at] = placeY(y[i]);
      const column = Math.round(placed.x[at] * scale - left - side / 2);
      const row = Math.round(placed.y[at] * scale - top - side / 2);
      const [right, bottom] = [Math.min(width, column + side), Math.min(height, row + side)];
      for (let down = Math.max(0, row); down < bottom; down += 1) {
        for (let across = Math.max(0, column); across < right; across += 1) covered[down * width + across] += 1;
      }
      at += 1;
    }
    blend(image.data, covered, rgbOf(context, colours[colour ?? "dim"]), opacity * Math.min(1, (CROWD / total) ** 0.4));
  }
  context.putImageData(image, left, top);
  return placed;
}

// What `axis.place` returns, without asking the chart for every point
function placerOf({ range: [low, high], log, place }) {
  const from = log ? place(10 ** low) : place(low);
  const slope = ((log ? place(10 ** high) : place(high)) - from) / (high - low);
  return log ? (value) => from + (Math.log10(value) - low) * slope : (value) => from + (value - low) * slope;
}

// One colour over what is there, the denser the more points there are
function blend(data, covered, [red, green, blue], opacity) {
  const densities = Float32Array.from({ length: 256 }, (_, points) => 1 - (1 - opacity) ** points);
  for (let pixel = 0, at = 0; pixel < covered.length; pixel += 1, at += 4) {
    if (!covered[pixel]) continue;
    const above = densities[covered[pixel]];
    const below = (data[at + 3] / 255) * (1 - above);
    data[at] = (red * above + data[at] * below) / (above + below);
    data[at + 1] = (green * above + data[at + 1] * below) / (above + below);
    data[at + 2] = (blue * above + data[at + 2] * below) / (above + below);
    data[at + 3] = 255 * (above + below);
  }
}

function rgbOf(context, colour) {
  context.fillStyle = colour;
  const digits = context.fillStyle; // which the canvas writes as #rrggbb
  return [1, 3, 5].map((start) => parseInt(digits.slice(start, start + 2), 16));
}
