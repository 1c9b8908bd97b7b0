// Which trials the table lists.

import { h } from "./dom.js";

export class TrialTabs {
  constructor(changed) {
    const button = (rows) => h("button", { type: "button", click: () => changed(rows) });
    this.buttons = { front: button("front"), all: button("all") };
    this.element = h(
      "div",
      { class: "tabs", role: "group", "aria-label": "Which trials" },
      Object.values(this.buttons),
    );
  }

  draw(rows, members, trials, allLoaded) {
    this.buttons.front.textContent = `On the front (${members})`;
    this.buttons.all.textContent = `All trials (${trials}${allLoaded ? "" : "…"})`;
    for (const [name, button] of Object.entries(this.buttons))
      button.setAttribute("aria-pressed", String(name === rows));
  }
}
