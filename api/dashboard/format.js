// Numbers, durations and dates as a person reads them. Nothing here invents precision: exact integers stay exact.

const PREFIXES = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];
const NOTHING = "–";

/** Four significant digits, e.g. 0.2143. */
export function significant(value, digits = 4) {
  if (!Number.isFinite(value)) return NOTHING;
  return new Intl.NumberFormat("en", { maximumSignificantDigits: digits, useGrouping: true }).format(value);
}

/** Always four digits, trailing zeros kept, so that columns line up, e.g. 1.230. */
export function aligned(value, digits = 4) {
  if (!Number.isFinite(value)) return NOTHING;
  return new Intl.NumberFormat("en", {
    minimumSignificantDigits: digits,
    maximumSignificantDigits: digits,
  }).format(value);
}

/** Three significant digits with an SI prefix, e.g. "1.23 M". */
export function si(value, digits = 3) {
  if (!Number.isFinite(value)) return NOTHING;
  const [factor, prefix] = PREFIXES.find(([limit]) => Math.abs(value) >= limit) ?? [1, ""];
  const options = { maximumSignificantDigits: digits, minimumSignificantDigits: factor > 1 ? digits : 1 };
  return new Intl.NumberFormat("en", options).format(value / factor) + (prefix && ` ${prefix}`);
}

/** The same without trailing zeros, for round numbers such as limits: "2 M". */
export function siShort(value) {
  return si(value, 6)
    .replace(/(\.\d*?)0+(?=\D|$)/, "$1")
    .replace(/\.(?=\D|$)/, "");
}

/** A share of 1 with three decimals, e.g. 0.560. */
export function share(value) {
  return Number.isFinite(value) ? value.toFixed(3) : NOTHING;
}

/** Every digit, grouped, e.g. 1,234,567. */
export function exact(value) {
  if (!Number.isFinite(value)) return NOTHING;
  return new Intl.NumberFormat("en", { maximumFractionDigits: 12 }).format(value);
}

/** The two largest units, e.g. "3 min 20 s". */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return NOTHING;
  if (seconds < 10) return `${significant(seconds, 2)} s`;
  const whole = Math.round(seconds);
  const parts = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map((part) => part.join(" "))
    .join(" ");
}

/** "3 min ago", or the day for what is older than a week. */
export function ago(iso, now = Date.now()) {
  const seconds = (now - Date.parse(iso)) / 1000;
  if (!Number.isFinite(seconds)) return NOTHING;
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h ago`;
  if (seconds < 7 * 86400) return `${Math.round(seconds / 86400)} d ago`;
  return new Date(iso).toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric" });
}

/** Date and time in full, in the reader's zone. */
export function moment(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return NOTHING;
  return date.toLocaleString("en", { dateStyle: "medium", timeStyle: "medium" });
}

/** "1 trial", "2 trials". */
export function count(number, noun, plural = `${noun}s`) {
  return `${exact(number)} ${number === 1 ? noun : plural}`;
}
