// Rows of the table as a file: every figure with all its digits, and what was chosen where that is known.

/** Returns the text of a CSV file (RFC 4180) of the trials with these numbers, in their order. */
export function csvOf(numbers, store, members) {
  const metrics = [...store.metrics];
  const features = [...store.features];
  const head = ["trial", "state", "feasible", "on_front", ...metrics.map(([name]) => name), ...features.map(([name]) => name)];
  const lines = [head];
  for (const number of numbers) {
    const row = store.row(number);
    lines.push([
      number,
      store.reasons[row] ?? store.states[row],
      store.feasible[row],
      members.has(number),
      ...metrics.map(([, values]) => values[row]),
      ...features.map(([, { options, values }]) => (options ? options[values[row]] : values[row])),
    ]);
  }
  return lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** Has the browser save a text under a name. */
export function saveText(text, name, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function cell(value) {
  if (value === undefined || Number.isNaN(value)) return "";
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
