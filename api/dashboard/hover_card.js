// The card beside the pointer: one trial with its whole architecture. The details panel says the same to the keyboard.

import { layerLines, summary } from "./architecture.js";
import { h, show } from "./dom.js";
import { describeMetric, inOrder, intervalOf, isBound } from "./metrics.js";

export class HoverCard {
  element = h("div", { class: "hover-card", "aria-hidden": "true", hidden: true });

  /** Shows the trial beside `box` ({x0, x1, y0, y1} within the offset parent), where there is more room. */
  show(trial, objectives, isKnee, box) {
    show(
      this.element,
      h(
        "p",
        { class: "hover-title" },
        `Trial ${trial.number}`,
        trial.on_front && h("span", { class: "tag tag-front" }, "on the front"),
        isKnee && h("span", { class: "tag tag-knee" }, "knee"),
      ),
      h(
        "dl",
        {},
        inOrder(Object.keys(trial.metrics))
          .filter((name) => !isBound(name))
          .map((name) => {
            const metric = describeMetric(name, objectives);
            return [
              h("dt", {}, metric.label),
              h(
                "dd",
                {},
                metric.write(trial.metrics[name]),
                intervalText(trial, name),
                metric.quality && h("span", { class: "tag tag-proxy" }, trial.quality_label),
              ),
            ];
          }),
      ),
      h("p", { class: "hover-summary" }, summary(trial.architecture)),
      layerLines(trial.architecture),
    );
    this.element.hidden = false;
    this.#place(box);
  }

  hide() {
    this.element.hidden = true;
  }

  #place({ x0, x1, y0, y1 }) {
    const room = this.element.offsetParent.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const left = x1 + 14 + width <= room.width ? x1 + 14 : Math.max(4, x0 - 14 - width);
    const highest = 8 - room.top; // of the window
    const lowest = window.innerHeight - room.top - height - 8;
    const top = Math.max(highest, Math.min((y0 + y1) / 2 - height / 2, lowest));
    this.element.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }
}

/** " (1.17–1.31)" after a latency that has an interval, else null. */
export function intervalText(trial, name) {
  const bounds = intervalOf(name);
  const [low, high] = bounds ? [trial.metrics[bounds.lower], trial.metrics[bounds.upper]] : [];
  if (!Number.isFinite(low) || !Number.isFinite(high)) return null;
  const metric = describeMetric(name);
  const write = (value) => metric.write(value).replace(/ \S+$/, "");
  return h(
    "span",
    { class: "interval", title: "90 % interval of the prediction" },
    ` ${write(low)}–${write(high)}`,
  );
}
