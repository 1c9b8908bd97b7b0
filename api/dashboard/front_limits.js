// The limits of a job on the chart.

/** Returns [{shape, line, label}] of a limit: the far side shaded, its edge drawn and named. Far off the chart, nothing. */
export function limitOnAxes(constraint, x, y, log, ranges, colours) {
  return [
    ["x", x],
    ["y", y],
  ]
    .filter(([, metric]) => metric.name === constraint.metric)
    .flatMap(([name, metric]) => {
      const isLog = log.includes(name);
      if (isLog && constraint.limit <= 0) return [];
      const at = isLog ? Math.log10(constraint.limit) : constraint.limit;
      const [low, high] = ranges[name];
      if (at < low || at > high) return [];
      const upper = constraint.operator === "<=";
      const far = upper ? at + (high - low) * 50 : at - (high - low) * 50;
      const value = (position) => (isLog ? 10 ** position : position); // shapes take values, annotations logarithms
      const across =
        name === "x" ? { xref: "x", yref: "paper", y0: 0, y1: 1 } : { yref: "y", xref: "paper", x0: 0, x1: 1 };
      return [
        {
          shape: {
            type: "rect",
            ...across,
            [`${name}0`]: constraint.limit,
            [`${name}1`]: isLog ? value(Math.min(far, 300)) : far,
            fillcolor: colours.limit,
            opacity: 0.07,
            line: { width: 0 },
            layer: "below",
          },
          line: {
            type: "line",
            ...across,
            [`${name}0`]: constraint.limit,
            [`${name}1`]: constraint.limit,
            line: { color: colours.limit, width: 1.2, dash: "5px,4px" },
            layer: "between", // above the grid, below the points
          },
          label:
            name === "x"
              ? {
                  x: at,
                  xref: "x",
                  y: 1,
                  yref: "paper",
                  xanchor: upper ? "right" : "left",
                  yanchor: "top",
                  xshift: upper ? -4 : 4,
                  ...limitLabel(constraint, metric, colours),
                }
              : {
                  y: at,
                  yref: "y",
                  x: 1,
                  xref: "paper",
                  xanchor: "right",
                  yanchor: upper ? "top" : "bottom",
                  ...limitLabel(constraint, metric, colours),
                },
        },
      ];
    });
}

function limitLabel(constraint, metric, colours) {
  const sign = constraint.operator === "<=" ? "≤" : "≥";
  const text = escaped(`${constraint.name ?? "limit"} ${sign} ${metric.writeLimit(constraint.limit)}`);
  return { text, showarrow: false, font: { size: 11.5, color: colours.limit } };
}

/** Returns text that plotly, which reads a few tags and entities, shows as it is. */
export function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
