// An architecture in words, and the colours of the attention types.

import { h } from "./dom.js";
import { count, exact } from "./format.js";

const COLOURED_TYPES = [
  "softmax",
  "grouped-query",
  "linear",
  "local",
  "long-short",
  "gated-convolution",
  "low-rank",
];

/** [{name, stack}]: the encoder, the decoder, or both in this order. */
export function stacksOf(architecture) {
  return ["encoder", "decoder"].flatMap((name) =>
    architecture[name] ? [{ name, stack: architecture[name] }] : [],
  );
}

/** Layers with weights of their own, of all stacks. */
export function depthOf(architecture) {
  return stacksOf(architecture).reduce((sum, { stack }) => sum + stack.layers.length, 0);
}

/** "4 × 192", of an encoder–decoder "6 × 512 + 3 × 640": layers and hidden size. */
export function sizeText(architecture) {
  return stacksOf(architecture)
    .map(({ stack }) => `${stack.layers.length} × ${stack.hidden_size}`)
    .join(" + ");
}

/**
 * "4 layers · hidden size 192 · learned positions · pre-norm · gelu": a line a stack, after its name unless it is a lone
 * encoder, and then what is tied.
 */
export function summary(architecture) {
  const stacks = stacksOf(architecture);
  const texts = stacks.map(
    ({ name, stack }) => (stacks.length > 1 || name !== "encoder" ? `${name}: ` : "") + stackText(stack),
  );
  const tied = {
    output: "the output uses the table of the tokens it writes",
    all: "input and output share one table",
  }[architecture.tied_embeddings];
  return [...texts, ...(tied ? [tied] : [])].join("\n");
}

function stackText(stack) {
  return [
    count(stack.layers.length, "layer"),
    stack.repeats > 1 && `each run ${stack.repeats} times`,
    `hidden size ${stack.hidden_size}`,
    stack.embedding_size && `embedding size ${stack.embedding_size}`,
    stack.embedding_norm && "normed embedding",
    stack.segments > 0 && count(stack.segments, "segment"),
    `${stack.positions} positions`,
    `${stack.norm_position}-norm${stack.norm === "rms" ? " (RMS)" : ""}`,
    stack.activation,
    stack.bias === false && "no bias",
  ]
    .filter(Boolean)
    .join(" · ");
}

// "softmax, 4 heads of 16", "local, 4 heads, window 8": every choice of an attention
function attentionText(attention) {
  return [
    attention.attention,
    attention.heads &&
      count(attention.heads, "head") +
        (attention.head_size ? ` of ${attention.head_size}` : "") +
        (attention.key_value_heads ? ` on ${count(attention.key_value_heads, "key/value head")}` : ""),
    attention.window && `window ${attention.window}`,
    attention.kernel_size && `kernel ${attention.kernel_size}`,
    attention.rank && `rank ${attention.rank}`,
    attention.reads > 1 && `reads ${attention.reads} encoder layers`,
  ]
    .filter(Boolean)
    .join(", ");
}

// "softmax 4 heads", "grouped-query 8/2 heads", "local 4 heads window 8"
function shortText(attention) {
  const shared = attention.key_value_heads ? `/${attention.key_value_heads}` : "";
  const own = attention.head_size ? ` of ${attention.head_size}` : "";
  return [
    attention.attention,
    attention.heads && `${attention.heads}${shared} heads${own}`,
    attention.window && `window ${attention.window}`,
    attention.kernel_size && `kernel ${attention.kernel_size}`,
    attention.rank && `rank ${attention.rank}`,
    attention.reads > 1 && `of ${attention.reads} layers`,
  ]
    .filter(Boolean)
    .join(" ");
}

// Layers of a stack in order, equal neighbours taken together; `first` is counted from 1
function runs(stack) {
  const result = [];
  stack.layers.forEach((layer, index) => {
    const last = result.at(-1);
    if (last && JSON.stringify(last.layer) === JSON.stringify(layer)) last.times += 1;
    else result.push({ layer, first: index + 1, times: 1 });
  });
  return result;
}

/** The layers as short lines, each with its colour, equal neighbours taken together. */
export function layerLines(architecture) {
  const stacks = stacksOf(architecture);
  return stacks.map(({ name, stack }) => [
    stacks.length > 1 && h("p", { class: "stack-name" }, name),
    h(
      "ol",
      { class: "hover-layers" },
      runs(stack).map(({ layer, first, times }) =>
        h(
          "li",
          { class: attentionClass(layer.attention) },
          h("span", { class: "number" }, numbers(first, times)),
          h("span", { class: "swatch" }),
          h(
            "span",
            { class: "layer-words" },
            `${shortText(layer)}, feed-forward ${exact(layer.feed_forward_size)}${activation(layer)}`,
          ),
          layer.cross &&
            h(
              "span",
              { class: `cross-line ${attentionClass(layer.cross.attention)}` },
              h("span", { class: "swatch swatch-cross" }),
              `cross ${shortText(layer.cross)}`,
            ),
        ),
      ),
    ),
  ]);
}

/** Which colour means which type of attention. */
export function attentionKey(architecture) {
  const layers = stacksOf(architecture).flatMap(({ stack }) => stack.layers);
  const crossed = layers.flatMap((layer) => (layer.cross ? [layer.cross.attention] : []));
  const types = [...new Set([...layers.map((layer) => layer.attention), ...crossed])];
  return h(
    "ul",
    { class: "attention-key", "aria-label": "Colours of the attention types" },
    types.map((type) =>
      h("li", { class: attentionClass(type) }, h("span", { class: "swatch", "aria-hidden": "true" }), type),
    ),
    crossed.length > 0 &&
      h(
        "li",
        { class: "attention attention-cross" },
        h("span", { class: "swatch swatch-cross", "aria-hidden": "true" }),
        "outlined: cross-attention",
      ),
  );
}

// What a layer may have, as columns: [title, value(layer)]; a column that no layer fills is left out
const COLUMNS = [
  ["Attention", (layer) => layer.attention],
  ["Heads", (layer) => layer.heads],
  ["Head size", (layer) => layer.head_size],
  ["K/V heads", (layer) => layer.key_value_heads],
  ["Window", (layer) => layer.window],
  ["Kernel", (layer) => layer.kernel_size],
  ["Rank", (layer) => layer.rank],
  ["Cross-attention", (layer) => layer.cross && shortText(layer.cross)],
  ["Feed-forward", (layer) => exact(layer.feed_forward_size)],
];

/** One row a layer, every field. */
export function layerTable(architecture) {
  const stacks = stacksOf(architecture);
  return h(
    "div",
    { class: "layer-tables" },
    stacks.map(({ name, stack }) => stackTable(stack, stacks.length > 1 ? name : null)),
  );
}

function stackTable(stack, caption) {
  const changes = stack.layers.some((layer) => layer.activation);
  const columns = [
    ...COLUMNS.filter(
      ([title, value]) =>
        ["Attention", "Heads", "Feed-forward"].includes(title) || stack.layers.some((layer) => value(layer)),
    ),
    ...(changes ? [["Activation", (layer) => layer.activation ?? stack.activation]] : []),
  ];
  return h(
    "table",
    { class: "layers" },
    caption && h("caption", {}, caption),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ["Layer", ...columns.map(([title]) => title)].map((title) => h("th", { scope: "col" }, title)),
      ),
    ),
    h(
      "tbody",
      {},
      stack.layers.map((layer, index) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, String(index + 1)),
          columns.map(([, value]) => h("td", {}, String(value(layer) ?? "–"))),
        ),
      ),
    ),
  );
}

/** The classes that give an element the colour of an attention type. */
export function attentionClass(type) {
  return `attention attention-${COLOURED_TYPES.includes(type) ? type : "other"}`;
}

/** Every layer in words, for screen readers. */
export function spoken(architecture) {
  const stacks = stacksOf(architecture);
  return stacks
    .flatMap(({ name, stack }) =>
      runs(stack).map(
        ({ layer, first, times }) =>
          `${stacks.length > 1 ? `${name} layer` : "Layer"} ${numbers(first, times)}: ${attentionText(layer)}` +
          (layer.cross ? `, cross-attention ${attentionText(layer.cross)}` : "") +
          `, feed-forward ${exact(layer.feed_forward_size)}${activation(layer)}`,
      ),
    )
    .join(". ");
}

function activation(layer) {
  return layer.activation ? ` ${layer.activation}` : "";
}

function numbers(first, times) {
  return times > 1 ? `${first}–${first + times - 1}` : String(first);
}
