// A button that copies a text.

import { h } from "./dom.js";
import { announce } from "./notices.js";

/** Returns the button; it stands right behind the element that shows the text. */
export function copyButton(text, label) {
  const button = h(
    "button",
    { type: "button", class: "copy", "aria-label": label, title: label, click: copy },
    "Copy",
  );
  let timer = null;
  async function copy() {
    let done = "Copied";
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Only https and localhost have a clipboard: the text is marked for the person's own copy
      getSelection().selectAllChildren(button.previousSibling);
      done = "Press Ctrl+C";
    }
    button.textContent = done;
    announce(done);
    clearTimeout(timer);
    timer = setTimeout(() => (button.textContent = "Copy"), 2_000);
  }
  return button;
}
