// The lines of the parallel axes, on a canvas: what is singled out above the rest, the front above all.

import { cleared } from "./many_points.js";

const MOST_LINES = 1_500;
const MOST_WHILE_BRUSHED = 400; // a canvas without a graphics card draws some tens of thousands in a second

export class ParallelLines {
  #canvas;
  #all = { key: null, canvas: document.createElement("canvas"), rows: [] }; // all trials, faintly

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /**
   * Draws the lines of {store, selection, members, isBrushed (whether a range is being drawn)} through `axes`; returns
   * {lines, of}: how many of how many.
   */
  draw(axes, { store, selection, members, isBrushed }) {
    const places = this.#placesOf(axes);
    const { at, size, scale, colours } = places;
    const groups = groupsOf(store, selection, members);
    const context = cleared(this.#canvas, ...size);
    if (selection) {
      this.#drawAll(places, store);
      context.drawImage(this.#all.canvas, 0, 0);
    }
    const behind = selection ? this.#all.rows : [];
    const chosen = thinned(groups.chosen, isBrushed ? MOST_WHILE_BRUSHED : MOST_LINES);
    const opacity = 0.05 + 0.45 * Math.min(1, 160 / Math.max(1, chosen.length));
    context.save();
    context.scale(scale, scale);
    stroke(context, at, chosen, { colour: selection ? colours.accent : colours.dominated, width: 1, opacity });
    stroke(context, at, groups.front, { colour: colours.front, width: 1.6, opacity: 0.95 });
    context.restore();
    const faint = behind.filter((row) => !selection.test(row)).length;
    return { lines: faint + chosen.length + groups.front.length, of: groups.all };
  }

  /** Draws, for what is to come, what lies behind every selection; it stays the same while ranges are drawn. */
  prepare(axes, { store }) {
    this.#drawAll(this.#placesOf(axes), store);
  }

  #drawAll({ at, size, scale, colours }, store) {
    const places = at.map(({ values, ...place }) => place);
    const key = JSON.stringify([store.version, size, scale, colours, places]);
    if (key === this.#all.key) return;
    const { chosen } = groupsOf(store, null, new Set());
    this.#all = { ...this.#all, key, rows: thinned(chosen, MOST_LINES) };
    const context = cleared(this.#all.canvas, ...size);
    context.save();
    context.scale(scale, scale);
    stroke(context, at, this.#all.rows, { colour: colours.dominated, width: 1, opacity: 0.06 });
    context.restore();
  }

  #placesOf(axes) {
    const place = this.#canvas.getBoundingClientRect();
    const scale = devicePixelRatio || 1;
    const style = getComputedStyle(this.#canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const at = axes.map((axis) => {
      const { left, width, top, height } = axis.track.getBoundingClientRect();
      const [low, high] = axis.ends;
      return { values: axis.values, low, span: high - low, x: left + width / 2 - place.left, top: top - place.top, height };
    });
    return {
      at,
      size: [place.width, place.height].map((side) => Math.round(side * scale)),
      scale,
      colours: { dominated: colour("dominated"), accent: colour("accent"), front: colour("front") },
    };
  }
}

function groupsOf(store, selection, members) {
  const groups = { all: 0, chosen: [], front: [] };
  for (let row = 0; row < store.size; row += 1) {
    if (store.states[row] !== "complete") continue;
    groups.all += 1;
    if (selection && selection.mask[row] !== 1) continue;
    groups[members.has(store.numbers[row]) ? "front" : "chosen"].push(row);
  }
  return groups;
}

// Of many trials every so manieth, the same ones each time
function thinned(rows, most) {
  const step = Math.ceil(rows.length / most);
  return step > 1 ? rows.filter((_, i) => i % step === 0) : rows;
}

function stroke(context, at, rows, { colour, width, opacity }) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.globalAlpha = opacity;
  context.beginPath();
  for (const row of rows) line(context, at, row);
  context.stroke();
}

function line(context, at, row) {
  let begun = false;
  for (const { values, low, span, x, top, height } of at) {
    const value = values?.[row];
    if (value === undefined || Number.isNaN(value)) {
      begun = false; // a trial that lacks the figure has a gap
      continue;
    }
    const y = top + height * (span > 0 ? 1 - (value - low) / span : 0.5);
    if (begun) context.lineTo(x, y);
    else context.moveTo(x, y);
    begun = true;
  }
}
