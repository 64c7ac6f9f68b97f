/* A camera's values as people read them. */

const MORE_UNITS = { FrameDuration: "us", ColourTemperature: "K", SensorTemperature: "°C", Lux: "lx" }; // not among controls
const NOT_FOR_PEOPLE = new Set(["SensorTimestamp", "FrameWallClock", "SensorTimestamp_us", "FrameWallClock_us"]);

/** 8323 -> "8.32 ms"; of microseconds. */
export function formatMicroseconds(value) {
  if (value >= 1e6) return `${short(value / 1e6)} s`;
  return value >= 1000 ? `${short(value / 1000)} ms` : `${short(value)} µs`;
}

/** Seconds as "0:07" or "1:02:03". */
export function formatDuration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** A value of metadata or a control, with its unit (of the camera's `controls`, if they are known). */
export function formatValue(name, value, controls) {
  if (value === null || value === undefined) return "unknown";
  const unit = controls?.[name]?.unit || MORE_UNITS[name] || "";
  if (unit === "us") return [value].flat().map(formatMicroseconds).join(", ");
  return unit ? `${plain(value)} ${unit}` : plain(value);
}

/** Names and texts of metadata, without the clocks, which say nothing to people, and without what is nested. */
export function readable(metadata, controls) {
  return Object.entries(metadata)
    .filter(([name, value]) => !NOT_FOR_PEOPLE.has(name) && (value === null || typeof value !== "object" || Array.isArray(value)))
    .map(([name, value]) => [name, formatValue(name, value, controls)]);
}

function plain(value) {
  if (Array.isArray(value)) return value.map(plain).join(", ");
  return typeof value === "number" ? short(value) : String(value);
}

function short(number) {
  return Number.isInteger(number) ? String(number) : String(Number(number.toPrecision(4)));
}
