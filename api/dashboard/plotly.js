// plotly, loaded once, from where the page says.

let script = null;

/** Loads plotly once; rejects with a sentence for a person. */
export function loadPlotly() {
  script ??= new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = document.getElementById("plotly").href;
    element.addEventListener("load", () => resolve(window.Plotly));
    element.addEventListener("error", () => {
      script = null;
      element.remove();
      reject(new Error("The chart’s program could not be loaded. The table shows the same numbers; to try again, reload the page."));
    });
    document.head.append(element);
  });
  return script;
}
