// What a person must be told: failures with a next step, the lost connection, and spoken progress.

import { h, show } from "./dom.js";

/** An element that says what failed and offers to try again. */
export function failure(error, retry) {
  return h(
    "div",
    { class: "failure", role: "alert" },
    h("p", { class: "failure-what" }, error.message),
    adviceOf(error).map((line) => h("p", {}, line)),
    retry && h("button", { type: "button", click: retry }, "Try again"),
  );
}

/** Shows or, with null, takes away the one notice of that name at the foot of the window. */
export function notice(name, text, action) {
  const place = document.getElementById("notices");
  const old = place.querySelector(`[data-notice="${name}"]`);
  if (!text) {
    old?.remove();
    return;
  }
  const box = old ?? h("div", { class: "notice", role: "alert", "data-notice": name });
  show(box, h("span", {}, text), action && h("button", { type: "button", click: action.run }, action.label));
  if (!old) place.append(box);
}

const SPOKEN_EVERY_MS = 8_000;
let waiting = null;
let timer = null;

/** Says `text` to screen readers, at most every few seconds; of several only the last. */
export function announce(text) {
  waiting = text;
  if (timer !== null) return;
  speak();
}

function speak() {
  if (waiting === null) {
    timer = null;
    return;
  }
  document.getElementById("announcer").textContent = waiting;
  waiting = null;
  timer = setTimeout(speak, SPOKEN_EVERY_MS);
}

function adviceOf(error) {
  // The detail of invalid input already lists each field
  return (error.advice ?? []).filter((line) => !error.message.includes(line));
}
