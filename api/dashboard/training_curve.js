// The loss over the steps of a training, as a small picture.

import { h, svg } from "./dom.js";
import { exact, significant } from "./format.js";

export function trainingCurve(trial) {
  const history = trial.training?.history ?? [];
  if (history.length < 2) return h("p", {}, "No history was kept.");
  const [steps, losses] = [history.map(([step]) => step), history.map(([, loss]) => loss)];
  const top = losses.reduce((a, b) => Math.max(a, b));
  const last = steps.at(-1);
  const points = history.map(([step, loss]) => `${40 + (290 * step) / last},${82 - (72 * loss) / top}`).join(" ");
  const text = (x, y, value, anchor) => svg("text", { x, y, "text-anchor": anchor, class: "curve-text" }, value);
  return svg(
    "svg",
    {
      class: "curve",
      viewBox: "0 0 340 100",
      role: "img",
      "aria-label": `Training loss from ${significant(losses[0], 3)} at step ${steps[0]} to ${significant(losses.at(-1), 3)} at step ${last}`,
    },
    svg("path", { d: "M40 10V82H332", class: "curve-axis" }),
    svg("polyline", { points, class: "curve-line" }),
    text(36, 14, significant(top, 3), "end"),
    text(36, 85, "0", "end"),
    text(40, 96, "loss by step", "start"),
    text(332, 96, exact(last), "end"),
  );
}
