// Which trials a person has singled out: ranges on figures and choices, kept in the address, and a shape drawn in the chart.

/** Reads "error_rate~0.1~0.3;layers~2~4"; what can't be read is left out. */
export function readRanges(text) {
  const ranges = {};
  for (const part of (text ?? "").split(";")) {
    const [name, ...ends] = part.split("~");
    const [low, high] = ends.map(Number);
    if (name && ends.length === 2 && low <= high) ranges[name] = [low, high];
  }
  return ranges;
}

export function writeRanges(ranges) {
  const parts = Object.entries(ranges).map(([name, ends]) => [name, ...ends.map(short)].join("~"));
  return parts.join(";") || null;
}

/** Returns {mask (1 or 0 a row), test(row), count, total} of the trials within every range and the shape; null where nothing is asked. */
export function selectionOf(store, ranges, shape) {
  const names = Object.keys(ranges);
  if (!names.length && !shape) return null;
  const mask = new Uint8Array(store.size).fill(1);
  for (const name of names) {
    const values = store.column(name);
    const [low, high] = ranges[name];
    for (let row = 0; row < mask.length; row += 1) {
      if (!(values?.[row] >= low && values[row] <= high)) mask[row] = 0;
    }
  }
  if (shape) {
    const [xs, ys] = [store.column(shape.x) ?? [], store.column(shape.y) ?? []];
    for (let row = 0; row < mask.length; row += 1) if (mask[row] && !inside(xs[row], ys[row], shape)) mask[row] = 0;
  }
  let count = 0;
  for (let row = 0; row < mask.length; row += 1) count += mask[row];
  return { mask, test: (row) => mask[row] === 1, count, total: mask.length };
}

// Whether a ray to the left of the point meets the outline an odd number of times
function inside(x, y, { points }) {
  let odd = false;
  for (let i = 0, j = points.x.length - 1; i < points.x.length; j = i, i += 1) {
    const [x1, y1, x2, y2] = [points.x[i], points.y[i], points.x[j], points.y[j]];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) odd = !odd;
  }
  return odd;
}

function short(value) {
  return String(Number(value.toPrecision(6)));
}
