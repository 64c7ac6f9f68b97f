/* What a camera is and can do, as tables of text. */

import { el } from "../kit/dom.js";
import { exposureText } from "./files-shots.js";

const times = (size) => (size ? `${size[0]} × ${size[1]}` : "unknown");

function known(value, unit = "") {
  return value === null || value === undefined || value === "" ? "unknown" : `${value}${unit}`;
}

/** Names and values as a list; a value may be an element. */
export function facts(entries) {
  return el("dl", {}, entries.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** What the daemon says of itself and its camera. */
export function statusFacts(status) {
  const streams = Object.entries(status.streams ?? {}).map(([name, stream]) => `${name} ${times(stream.size)} ${stream.format}`);
  return [
    ["State", known(status.state)],
    ["Model", known(status.model)],
    ["Driver", known(status.driver)],
    ["camerad", `version ${known(status.software_version)}`],
    ["Streams that run", streams.length ? streams.join("; ") : "none"],
    ["Last gap of the live view", status.reconfiguration_gap_s === null || status.reconfiguration_gap_s === undefined ? "none yet" : `${status.reconfiguration_gap_s.toFixed(2)} s`],
    ["Sensor temperature", known(status.SensorTemperature, " °C")],
  ];
}

/** What went wrong, as lines; none if nothing did. */
export function troubles(status) {
  return [
    status.last_error ? `The camera: ${status.last_error}` : null,
    ...Object.entries(status.use_cases_refused ?? {}).map(([name, why]) => `The camera refused the use case ${name}: ${why}`),
    ...Object.entries(status.controls_refused ?? {}).map(([name, why]) => `The camera does not take the control ${name}: ${why}`),
  ].filter(Boolean);
}

/** What does not change while the camera is open. */
export function capabilityFacts(found) {
  return [
    ["Place", known(found.location)],
    ["Sensor", `${times(found.sensor_size)} pixels`],
    ["Pixel", known(found.pixel_size_um, " µm")],
    ["Mosaic", found.bayer_pattern ?? "none or unknown"],
    ["Features", found.features.length ? found.features.join(", ") : "none"],
    ...Object.entries(found.streams).map(([name, formats]) => [`Stream ${name}`, formats.join(", ")]),
  ];
}

function paceText(mode) {
  const [, longest] = mode.exposure_us;
  const least = longest ? `${Number((1e6 / longest).toPrecision(2))} to ` : "up to ";
  return mode.shortest_frame_us ? `${least}${Number((1e6 / mode.shortest_frame_us).toPrecision(4))}` : "unknown";
}

function cropText([x, y, width, height]) {
  return `${width} × ${height} at ${x}, ${y}`;
}

/** The modes of the sensor. */
export function modesTable(modes) {
  const columns = [
    ["Mode", (mode, number) => String(number)],
    ["Size", (mode) => times(mode.size)],
    ["Format", (mode) => mode.format],
    ["Bits", (mode) => String(mode.bit_depth)],
    ["Frames/s", paceText],
    ["Exposure", (mode) => mode.exposure_us.map((us) => (us === null ? "unknown" : exposureText(us))).join(" to ")],
    ["Of the sensor", (mode) => cropText(mode.crop)],
  ];
  const head = el("tr", {}, columns.map(([title]) => el("th", { scope: "col" }, title)));
  const rows = modes.map((mode, number) => el("tr", {}, columns.map(([, text]) => el("td", {}, text(mode, number)))));
  return el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Modes of the sensor" }, el("table", {}, el("thead", {}, head), el("tbody", {}, rows)));
}
