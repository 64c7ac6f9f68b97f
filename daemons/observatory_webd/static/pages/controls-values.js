/* Values of controls: as text, as places on a slider, and whether a camera's reading is what was asked for. */

import { formatMicroseconds } from "./live-format.js";

export const STEPS = 1000; // of a slider

const DIGITS = 6;
const NEAR = 0.02; // what a sensor rounds
const NEAR_WHOLE = 2;

/** A number as a field shows it. */
export function numberText(value) {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(DIGITS)));
}

/** A value with its unit, or the name that it has. */
export function valueText(value, info) {
  if (value === null || value === undefined) return "unknown";
  if (typeof value === "boolean") return value ? "on" : "off";
  if (Array.isArray(value)) {
    const isTime = info.unit === "us";
    const texts = value.map((one) => (Array.isArray(one) ? `(${valueText(one, info)})` : valueText(one, isTime ? info : { ...info, unit: "" })));
    return info.unit && !isTime && !Array.isArray(value[0]) ? `${texts.join(", ")} ${info.unit}` : texts.join(", ");
  }
  const word = Object.entries(info.values).find(([, number]) => number === value)?.[0];
  if (word) return word;
  if (info.unit === "us") return formatMicroseconds(value);
  return info.unit ? `${numberText(value)} ${info.unit}` : numberText(value);
}

/** "1 to 16, default 1 dioptre". */
export function rangeText(info) {
  const parts = [];
  const isRange = info.type !== "bool" && !Object.keys(info.values).length;
  if (isRange && info.minimum !== null && info.maximum !== null) {
    const unit = info.unit && info.unit !== "us" ? ` ${info.unit}` : "";
    parts.push(info.unit === "us"
      ? `${formatMicroseconds(info.minimum)} to ${formatMicroseconds(info.maximum)}`
      : `${numberText(info.minimum)} to ${numberText(info.maximum)}${unit}`);
  }
  if (info.default !== null) parts.push(`default ${valueText(info.default, isRange && info.unit !== "us" ? { ...info, unit: "" } : info)}`);
  return parts.join(", ");
}

/** Where a value is on the slider, 0 to STEPS. */
export function placeOnSlider(value, info, logarithmic) {
  const { minimum: low, maximum: high } = info;
  const inside = Math.min(Math.max(value, low), high);
  return Math.round(STEPS * (logarithmic ? Math.log(inside / low) / Math.log(high / low) : (inside - low) / (high - low)));
}

/** The value at a place of the slider; both ends are exact, what is between has few digits. */
export function valueAt(place, info, logarithmic) {
  const { minimum: low, maximum: high } = info;
  if (place <= 0 || place >= STEPS) return place <= 0 ? low : high;
  const exact = logarithmic ? low * (high / low) ** (place / STEPS) : low + ((high - low) * place) / STEPS;
  const few = Number(exact.toPrecision(3));
  return Math.min(Math.max(info.type === "int" ? Math.round(few) : few, low), high);
}

/** Whether two values are the same. */
export function isSame(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Whether a reading is what was asked for, but for what a sensor rounds. */
export function agrees(wanted, reading, info) {
  if (Array.isArray(wanted)) {
    return Array.isArray(reading) && reading.length === wanted.length && wanted.every((one, index) => agrees(one, reading[index], info));
  }
  const least = info.type === "int" ? NEAR_WHOLE : NEAR;
  return Math.abs(Number(reading) - Number(wanted)) <= Math.max(least, NEAR * Math.abs(Number(wanted)));
}
