// An architecture as a picture: one bar a layer, colour and shape for attention, length for feed-forward.

import { attentionClass, spoken, stacksOf } from "./architecture.js";
import { svg } from "./dom.js";
import { exact } from "./format.js";

const MAX_MARKS = 16;
const WIDTH = 340;
const TITLE = 18; // height of a stack's name
const STEP = 9; // from one mark to the next
const GAP = 8; // between self-attention and cross-attention

/** The picture for the details: rows from the input (top) to the output, the decoder under the encoder. */
export function picture(architecture) {
  const stacks = stacksOf(architecture);
  const layers = stacks.flatMap(({ stack }) => stack.layers);
  const widest = Math.max(...layers.map((layer) => layer.feed_forward_size));
  const row = layers.length > 16 ? 12 : 20;
  const left = 22;
  const ends = layers.map((layer) => marksWidth(layer) + (layer.cross ? GAP + marksWidth(layer.cross) : 0));
  const bars = left + Math.max(...ends) + 12;
  const room = Math.max(24, WIDTH - bars - 44);
  const drawn = [];
  let y = 0;
  for (const { name, stack } of stacks) {
    if (stacks.length > 1) {
      drawn.push(svg("text", { x: 0, y: y + TITLE / 2, class: "picture-stack" }, title(name, stack)));
      y += TITLE;
    }
    stack.layers.forEach((layer, index) => {
      const width = (room * layer.feed_forward_size) / widest;
      drawn.push(drawnLayer(layer, { number: index + 1, left, bars, y, row, width }));
      y += row;
    });
  }
  return svg(
    "svg",
    { class: "picture", viewBox: `0 0 ${WIDTH} ${y}`, role: "img", "aria-label": spoken(architecture) },
    drawn,
  );
}

function title(name, stack) {
  const repeats = stack.repeats > 1 ? `, each layer run ${stack.repeats} times` : "";
  return `${name}, hidden size ${stack.hidden_size}${repeats}`;
}

function drawnLayer(layer, { number, left, bars, y, row, width }) {
  const middle = y + row / 2;
  const bar = Math.max(2, width);
  return svg(
    "g",
    { class: attentionClass(layer.attention) },
    svg("text", { x: left - 8, y: middle, class: "picture-index" }, String(number)),
    marks(layer, left, middle),
    layer.cross &&
      svg(
        "g",
        { class: `${attentionClass(layer.cross.attention)} picture-cross` },
        marks(layer.cross, left + marksWidth(layer) + GAP, middle),
      ),
    svg("rect", { x: bars, y: middle - 4, width: bar, height: 8, rx: 1.5, class: "picture-bar" }),
    svg("text", { x: bars + bar + 6, y: middle, class: "picture-size" }, exact(layer.feed_forward_size)),
  );
}

/** The same as a sign in a table row: a column a layer, a gap between encoder and decoder. */
export function glyph(architecture) {
  const stacks = stacksOf(architecture);
  const layers = stacks.flatMap(({ stack }) => stack.layers);
  const widest = Math.max(...layers.map((layer) => layer.feed_forward_size));
  const step = layers.length > 12 ? 4 : 7;
  const columns = [];
  let x = 0;
  for (const { stack } of stacks) {
    for (const layer of stack.layers) {
      const height = Math.max(3, (16 * layer.feed_forward_size) / widest);
      columns.push(
        svg("rect", {
          class: `${attentionClass(layer.attention)} picture-bar`,
          x,
          y: 16 - height,
          width: step - 2,
          height,
          rx: 1,
        }),
      );
      x += step;
    }
    x += step;
  }
  return svg(
    "svg",
    { class: "glyph", width: x - step, height: 16, role: "img", "aria-label": spoken(architecture) },
    columns,
  );
}

function markCount(attention) {
  return Math.min(attention.heads ?? 1, MAX_MARKS);
}

function marksWidth(attention) {
  if (!attention.heads) return 2 * STEP; // a wave
  const gaps = attention.key_value_heads ? Math.min(attention.key_value_heads, MAX_MARKS) - 1 : 0;
  const convolution = attention.kernel_size ? 2 * STEP : 0;
  return markCount(attention) * STEP + gaps * 3 + convolution;
}

// One mark a head: squares, circles for linear, diamonds for local, triangles for low-rank. Grouped-query: the heads
// that share keys and values stand on one line. A convolution is a wave.
function marks(attention, left, middle) {
  const top = middle - 3.5;
  const wave = (x) => svg("path", { d: `M${x} ${middle} q4 -7 8 0 t8 0`, class: "picture-wave" });
  if (!attention.heads) return [wave(left)];
  const number = markCount(attention);
  const shared = attention.key_value_heads;
  const group = shared ? Math.max(1, number / shared) : number;
  const drawn = [];
  for (let i = 0; i < number; i += 1) {
    const x = left + i * STEP + (shared ? Math.floor(i / group) * 3 : 0);
    drawn.push(mark(attention.attention, x, top));
    if (shared && i % group === 0) {
      drawn.push(
        svg("rect", { x, y: top + 9, width: group * STEP - 2, height: 1.5, class: "picture-head picture-line" }),
      );
    }
  }
  if (attention.kernel_size) drawn.push(wave(left + number * STEP));
  return drawn;
}

function mark(type, x, y) {
  const corners = {
    local: [`${x + 3.5},${y - 0.5}`, `${x + 7.5},${y + 3.5}`, `${x + 3.5},${y + 7.5}`, `${x - 0.5},${y + 3.5}`],
    "low-rank": [`${x + 3.5},${y}`, `${x + 7.5},${y + 7}`, `${x - 0.5},${y + 7}`],
  }[type];
  if (corners) return svg("polygon", { points: corners.join(" "), class: "picture-head" });
  if (type === "linear") return svg("circle", { cx: x + 3.5, cy: y + 3.5, r: 3.5, class: "picture-head" });
  return svg("rect", { x, y, width: 7, height: 7, rx: 1, class: "picture-head" });
}
