// What a person takes along of a trial: its configuration, its weights, and the command that checks them.

import { bundleButton } from "./bundle_button.js";
import { copyButton } from "./copy_button.js";
import { h } from "./dom.js";

/** Of a trial; with `device` the configuration promises its latency there too. */
export function takeAlong(trial, device) {
  const also = device ? `&device=${encodeURIComponent(device)}` : "";
  const file = fileName(trial, "yaml");
  return h(
    "section",
    { class: "take" },
    h("h3", {}, "Take it along"),
    h(
      "p",
      { class: "buttons" },
      h("a", { class: "button primary", href: trial.links.config_yaml + also, download: file }, "Config, YAML"),
      h(
        "a",
        { class: "button", href: trial.links.config_json + also, download: fileName(trial, "json") },
        "Config, JSON",
      ),
      trial.has_weights &&
        h(
          "a",
          { class: "button", href: trial.links.weights, download: fileName(trial, "safetensors") },
          "Weights",
        ),
      trial.links.bundle && bundleButton(trial),
    ),
    device && h("p", { class: "take-hint" }, `The configuration promises the latency on ${device} too.`),
    h("p", { class: "take-hint" }, "Rebuild it from the file alone and compare every number:"),
    h(
      "p",
      { class: "command" },
      h("code", {}, `nas score ${file} --verify`),
      copyButton(`nas score ${file} --verify`, "Copy the command"),
    ),
  );
}

function fileName(trial, ending) {
  return `${trial.architecture_id}.${ending}`;
}
