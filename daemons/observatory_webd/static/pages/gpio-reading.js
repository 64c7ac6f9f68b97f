/* What a device reads, as text. `state(key)` is what the status has under that key for the device. */

/** Readings beside the value: key -> what it is, and its unit. */
const BESIDE = {
  off_in_s: ["Switches off in", "s"],
  active_time_s: ["Active for", "s"],
  is_held: ["Held", null],
  line_detected: ["Line", null],
  steps: ["Turned to", "steps"],
  distance_m: ["Distance", "m"],
  reading_age_s: ["Last echo", "s ago"],
  position: ["Position", null],
  position_certain: ["Position is certain", null],
  position_steps: ["Motor steps", null],
  missed_deadlines: ["Late steps", null],
  edges_lost: ["Edges lost", null],
};
/** These are told also where they are nothing. */
const ALWAYS = new Set(["position_certain", "position_steps"]);

/** Readings that matter more than the value, where there are some. */
const FIRST = ["distance_m", "steps", "position"];

/** Whether anything is known of it now. (The value alone does not tell: that of a silent buzzer is null.) */
export const isKnown = (state) => typeof state("active") === "boolean";

/** The reading that matters most. */
export function headline(device, state) {
  if (!isKnown(state)) return "unknown";
  const first = firstOf(state);
  if (first === "position") return withUnit(state("position"), unitOfPosition(device));
  if (first !== undefined) return withUnit(state(first), BESIDE[first][1]);
  const value = state("value");
  if (device.direction === "input") return state("active") ? "active" : "not active";
  if (device.value?.type === "integer" || !state("active")) return state("active") ? "on" : "off";
  if (device.value?.type === "tone") return `note ${value}`;
  if (Array.isArray(value)) return `${value.map((part) => Math.round(100 * part)).join(", ")} %`;
  return `${round(100 * value)} %${device.value?.minimum < 0 ? (value < 0 ? " backward" : " forward") : ""}`;
}

/** The other readings: [name, text] of each that tells something. */
export function details(device, state) {
  const first = firstOf(state);
  return Object.entries(BESIDE)
    .filter(([key]) => key !== first && state(key) !== undefined && (ALWAYS.has(key) || ![null, 0, false].includes(state(key))))
    .map(([key, [name, unit]]) => [name, withUnit(state(key), unit)]);
}

/** A colour for the page, of [red, green, blue] from 0 to 1; null for anything else. */
export function colourOf(value) {
  if (!Array.isArray(value) || value.length !== 3) return null;
  return `rgb(${value.map((part) => Math.round(255 * part)).join(" ")})`;
}

const firstOf = (state) => FIRST.find((key) => state(key) !== undefined);

function unitOfPosition(device) {
  const parameters = device.methods.flatMap((method) => method.parameters);
  return parameters.find((parameter) => parameter.unit === "degrees")?.unit ?? "";
}

function withUnit(value, unit) {
  if (value === null) return "unknown";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return `${typeof value === "number" ? round(value) : value}${unit ? ` ${unit}` : ""}`;
}

const round = (value) => Number(value.toFixed(Math.abs(value) < 10 ? 2 : 1));
