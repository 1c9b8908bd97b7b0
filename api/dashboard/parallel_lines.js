// The lines of the parallel axes, on a canvas: what is singled out above the rest, the front above all.

const MOST_LINES = 1_500;

/** Draws the lines of {store, selection, members} through `axes`; returns {lines, of}: how many of how many. */
export function drawLines(canvas, axes, { store, selection, members }) {
  const place = canvas.getBoundingClientRect();
  const scale = devicePixelRatio || 1;
  canvas.width = Math.round(place.width * scale);
  canvas.height = Math.round(place.height * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const at = axes.map((axis) => {
    const { left, width, top, height } = axis.track.getBoundingClientRect();
    return { axis, x: left + width / 2 - place.left, top: top - place.top, height };
  });
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const groups = groupsOf(store, selection, members);
  const few = Math.min(1, 160 / Math.max(1, groups.chosen.length));
  const draw = (rows, stroke, width, opacity) => {
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.globalAlpha = opacity;
    context.beginPath();
    for (const row of rows) line(context, at, row);
    context.stroke();
  };
  draw(groups.rest, colour("dominated"), 1, 0.06);
  draw(groups.chosen, colour(selection ? "accent" : "dominated"), 1, 0.05 + 0.45 * few);
  draw(groups.front, colour("front"), 1.6, 0.95);
  context.globalAlpha = 1;
  return { lines: groups.rest.length + groups.chosen.length + groups.front.length, of: groups.all };
}

// Of many trials every so manieth, the same ones each time
function groupsOf(store, selection, members) {
  const groups = { rest: [], chosen: [], front: [], all: 0 };
  for (let row = 0; row < store.size; row += 1) {
    if (store.states[row] !== "complete") continue;
    groups.all += 1;
    const chosen = !selection || selection.test(row);
    if (chosen && members.has(store.numbers[row])) groups.front.push(row);
    else groups[chosen ? "chosen" : "rest"].push(row);
  }
  const thinned = (rows) => {
    const step = Math.ceil(rows.length / MOST_LINES);
    return step > 1 ? rows.filter((_, i) => i % step === 0) : rows;
  };
  return { ...groups, rest: thinned(groups.rest), chosen: thinned(groups.chosen) };
}

function line(context, at, row) {
  let begun = false;
  for (const { axis, x, top, height } of at) {
    const value = axis.values?.[row];
    if (value === undefined || Number.isNaN(value)) {
      begun = false; // a trial that lacks the figure has a gap
      continue;
    }
    const y = top + height * (1 - axis.share(value));
    if (begun) context.lineTo(x, y);
    else context.moveTo(x, y);
    begun = true;
  }
}
