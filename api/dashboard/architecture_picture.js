// An architecture as a picture: one bar a layer, colour and shape for attention, length for feed-forward.

import { attentionClass, spoken } from "./architecture.js";
import { svg } from "./dom.js";
import { exact } from "./format.js";

const MAX_SQUARES = 16;

/** The picture for the details: rows from the input (top) to the output. */
export function picture(architecture) {
  const layers = architecture.encoder.layers;
  const widest = Math.max(...layers.map((layer) => layer.feed_forward_size));
  const mostHeads = Math.max(1, ...layers.map((layer) => Math.min(layer.heads ?? 1, MAX_SQUARES)));
  const row = layers.length > 16 ? 12 : 20;
  const left = 22;
  const bars = left + mostHeads * 9 + 10 + 12;
  const room = 340 - bars - 44;
  const drawn = layers.map((layer, index) => {
    const y = index * row;
    const width = Math.max(2, (room * layer.feed_forward_size) / widest);
    return svg(
      "g",
      { class: attentionClass(layer.attention) },
      svg("text", { x: left - 8, y: y + row / 2, class: "picture-index" }, String(index + 1)),
      heads(layer, left, y, row),
      svg("rect", { x: bars, y: y + row / 2 - 4, width, height: 8, rx: 1.5, class: "picture-bar" }),
      svg("text", { x: bars + width + 6, y: y + row / 2, class: "picture-size" }, exact(layer.feed_forward_size)),
    );
  });
  const height = layers.length * row;
  return svg(
    "svg",
    { class: "picture", viewBox: `0 0 340 ${height}`, role: "img", "aria-label": spoken(architecture) },
    drawn,
  );
}

/** The same as a sign in a table row: a column a layer. */
export function glyph(architecture) {
  const layers = architecture.encoder.layers;
  const widest = Math.max(...layers.map((layer) => layer.feed_forward_size));
  const step = layers.length > 12 ? 4 : 7;
  return svg(
    "svg",
    { class: "glyph", width: layers.length * step, height: 16, role: "img", "aria-label": spoken(architecture) },
    layers.map((layer, index) => {
      const height = Math.max(3, (16 * layer.feed_forward_size) / widest);
      return svg("rect", {
        class: `${attentionClass(layer.attention)} picture-bar`,
        x: index * step,
        y: 16 - height,
        width: step - 2,
        height,
        rx: 1,
      });
    }),
  );
}

// Softmax: a square a head. Grouped-query: the heads that share keys and values stand on one line. Linear: circles.
function heads(layer, left, y, row) {
  const number = Math.min(layer.heads ?? 1, MAX_SQUARES);
  const group = layer.key_value_heads ? Math.max(1, number / layer.key_value_heads) : number;
  const top = y + row / 2 - 3.5;
  const marks = [];
  for (let i = 0; i < number; i += 1) {
    const x = left + i * 9 + (layer.key_value_heads ? Math.floor(i / group) * 3 : 0);
    marks.push(
      layer.attention === "linear"
        ? svg("circle", { cx: x + 3.5, cy: top + 3.5, r: 3.5, class: "picture-head" })
        : svg("rect", { x, y: top, width: 7, height: 7, rx: 1, class: "picture-head" }),
    );
    if (layer.key_value_heads && i % group === 0) {
      marks.push(svg("rect", { x, y: top + 9, width: group * 9 - 2, height: 1.5, class: "picture-head" }));
    }
  }
  return marks;
}
