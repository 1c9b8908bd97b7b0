// An architecture in words, and the colours of the attention types.

import { h } from "./dom.js";
import { count, exact } from "./format.js";

const KNOWN_TYPES = ["softmax", "grouped-query", "linear"];

/** "4 layers · hidden size 192 · learned positions · pre-norm · gelu" */
export function summary(architecture) {
  const e = architecture.encoder;
  return [
    count(e.layers.length, "layer"),
    `hidden size ${e.hidden_size}`,
    `${e.positions} positions`,
    `${e.norm_position}-norm`,
    e.activation,
  ].join(" · ");
}

// "softmax, 4 heads"
function attentionText(layer) {
  const shared = layer.key_value_heads ? ` on ${count(layer.key_value_heads, "key/value head")}` : "";
  return layer.heads ? `${layer.attention}, ${count(layer.heads, "head")}${shared}` : layer.attention;
}

// Layers in order, equal neighbours taken together; `first` is counted from 1
function runs(architecture) {
  const result = [];
  architecture.encoder.layers.forEach((layer, index) => {
    const last = result.at(-1);
    if (last && JSON.stringify(last.layer) === JSON.stringify(layer)) last.times += 1;
    else result.push({ layer, first: index + 1, times: 1 });
  });
  return result;
}

/** The layers as short lines, each with its colour, equal neighbours taken together. */
export function layerLines(architecture) {
  return h(
    "ol",
    { class: "hover-layers" },
    runs(architecture).map(({ layer, first, times }) => {
      const heads = layer.heads
        ? ` ${layer.heads}${layer.key_value_heads ? `/${layer.key_value_heads}` : ""} heads`
        : "";
      return h(
        "li",
        { class: attentionClass(layer.attention) },
        h("span", { class: "number" }, numbers(first, times)),
        h("span", { class: "swatch" }),
        `${layer.attention}${heads}, feed-forward ${exact(layer.feed_forward_size)}`,
      );
    }),
  );
}

/** Which colour means which type of attention. */
export function attentionKey(architecture) {
  const types = [...new Set(architecture.encoder.layers.map((layer) => layer.attention))];
  return h(
    "ul",
    { class: "attention-key", "aria-label": "Colours of the attention types" },
    types.map((type) =>
      h("li", { class: attentionClass(type) }, h("span", { class: "swatch", "aria-hidden": "true" }), type),
    ),
  );
}

/** One row a layer, every field. */
export function layerTable(architecture) {
  const e = architecture.encoder;
  const titles = ["Layer", "Attention", "Heads", "K/V heads", "Feed-forward"];
  return h(
    "table",
    { class: "layers" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        titles.map((title) => h("th", { scope: "col" }, title)),
      ),
    ),
    h(
      "tbody",
      {},
      e.layers.map((layer, index) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, String(index + 1)),
          [layer.attention, layer.heads ?? "–", layer.key_value_heads ?? "–", exact(layer.feed_forward_size)].map(
            (value) => h("td", {}, String(value)),
          ),
        ),
      ),
    ),
  );
}

/** The classes that give an element the colour of an attention type. */
export function attentionClass(type) {
  return `attention attention-${KNOWN_TYPES.includes(type) ? type : "other"}`;
}

/** Every layer in words, for screen readers. */
export function spoken(architecture) {
  return runs(architecture)
    .map(
      ({ layer, first, times }) =>
        `Layer ${numbers(first, times)}: ${attentionText(layer)}, ` +
        `feed-forward ${exact(layer.feed_forward_size)}`,
    )
    .join(". ");
}

function numbers(first, times) {
  return times > 1 ? `${first}–${first + times - 1}` : String(first);
}
