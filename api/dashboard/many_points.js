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
    this.element.width = Math.round(width * scale);
    this.element.height = Math.round(height * scale);
    this.#placed = { numbers: [], x: new Float32Array(0), y: new Float32Array(0) };
    if (!points || !frame) return;
    this.#placed = paint(this.element.getContext("2d"), points, frame, colours, scale);
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

// Pixel by pixel: to ask the canvas for a hundred thousand squares takes twenty times as long
function paint(context, points, frame, colours, scale) {
  const plot = [frame.x.offset, frame.y.offset, frame.x.length, frame.y.length].map((at) => Math.round(at * scale));
  const [left, top, width, height] = plot;
  const image = context.createImageData(Math.max(1, width), Math.max(1, height));
  const total = Object.values(points).reduce((sum, group) => sum + group.numbers.length, 0);
  const placed = { numbers: [], x: new Float32Array(total), y: new Float32Array(total) };
  for (const [name, { size, opacity, colour }] of Object.entries(LOOKS)) {
    const { numbers, x, y } = points[name];
    const ink = [...rgbOf(context, colours[colour ?? "dim"]), opacity * Math.min(1, (CROWD / total) ** 0.4)];
    const side = Math.max(1, Math.round(size * scale));
    for (let i = 0; i < numbers.length; i += 1) {
      const at = placed.numbers.push(numbers[i]) - 1;
      placed.x[at] = frame.x.place(x[i]);
      placed.y[at] = frame.y.place(y[i]);
      const [column, row] = [placed.x[at] * scale - left - side / 2, placed.y[at] * scale - top - side / 2];
      blot(image, Math.round(column), Math.round(row), side, ink);
    }
  }
  context.putImageData(image, left, top);
  return placed;
}

function blot({ data, width, height }, left, top, side, [red, green, blue, opacity]) {
  for (let row = Math.max(0, top); row < Math.min(height, top + side); row += 1) {
    for (let column = Math.max(0, left); column < Math.min(width, left + side); column += 1) {
      const at = 4 * (row * width + column);
      const below = (data[at + 3] / 255) * (1 - opacity);
      const above = opacity + below;
      data[at] = (red * opacity + data[at] * below) / above;
      data[at + 1] = (green * opacity + data[at + 1] * below) / above;
      data[at + 2] = (blue * opacity + data[at + 2] * below) / above;
      data[at + 3] = 255 * above;
    }
  }
}

function rgbOf(context, colour) {
  context.fillStyle = colour;
  const digits = context.fillStyle; // which the canvas writes as #rrggbb
  return [1, 3, 5].map((start) => parseInt(digits.slice(start, start + 2), 16));
}
