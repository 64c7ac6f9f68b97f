/* What a shot is made of: its files, what a browser can show of it, its metadata, where they are. */

import { ROOT, pathOf } from "../kit/api.js";
import { el } from "../kit/dom.js";

const PICTURES = ["jpg", "png", "bmp"];
const VIDEOS = ["mp4"];

export function endingOf(name) {
  return name.slice(name.lastIndexOf(".") + 1).toLowerCase();
}

/** Where a file of a camera is; `save` has the browser save it. */
export function fileUrl(camera, name, save = false) {
  return `${ROOT}${pathOf("camera", camera, "files", name)}${save ? "?save=1" : ""}`;
}

/** The file of a shot that a browser shows as a picture, or null. */
export function pictureOf(shot) {
  return shot.files.find((file) => PICTURES.includes(endingOf(file.name))) ?? null;
}

/** The file of a shot that a browser plays, or null. */
export function videoOf(shot) {
  return shot.files.find((file) => VIDEOS.includes(endingOf(file.name))) ?? null;
}

/** The small picture of a shot: its thumbnail, else its picture; null if there is none. */
export function previewOf(shot) {
  return shot.thumbnail ?? pictureOf(shot)?.name ?? null;
}

/** The names of all that belongs to a shot. */
export function namesOf(shot) {
  return [...shot.files.map((file) => file.name), shot.metadata, shot.thumbnail].filter(Boolean);
}

/** "JPG + FITS" */
export function kindsOf(shot) {
  const kinds = shot.files.map((file) => endingOf(file.name).toUpperCase());
  return kinds.length ? kinds.join(" + ") : shot.metadata ? "metadata only" : "thumbnail only";
}

/** "17:04:59", UTC as all of this page. */
export function clockOf(shot) {
  return shot.date.slice(11, 19);
}

/** Save what is at an address, without leaving the page. */
export function save(url) {
  el("a", { href: url, download: "" }).click();
}

/** JSON with its whole numbers as they are written: clocks of nanoseconds are more than a number holds here. */
export function parsed(text) {
  return JSON.parse(text, (key, value, context) =>
    typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) ? (context?.source ?? value) : value,
  );
}

function written(value) {
  if (value === null) return "-";
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  if (Array.isArray(value)) return value.map(written).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function rows(entries) {
  return entries.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, written(value))));
}

function table(caption, entries) {
  return el("table", {}, el("caption", {}, caption), el("tbody", {}, rows(entries)));
}

/** Tables of what stands in a shot's metadata: what the suite says of it, then libcamera's names. */
export function metadataTables(metadata) {
  if (metadata === null || typeof metadata !== "object" || Array.isArray(metadata)) return [el("p", {}, "These are no metadata.")];
  const { observatory = {}, ...frame } = metadata;
  const about = Object.entries(observatory ?? {}).map(([name, value]) => [name.replaceAll("_", " "), value]);
  if (typeof frame.ExposureTime === "number") about.unshift(["exposure", exposureText(frame.ExposureTime)]);
  return [about.length ? table("Shot", about) : null, table("Frame, by libcamera's names", Object.entries(frame))].filter(Boolean);
}

/** 8323 (us) -> "8.323 ms" */
export function exposureText(us) {
  if (us >= 1e6) return `${Number((us / 1e6).toPrecision(4))} s`;
  return us >= 1000 ? `${Number((us / 1000).toPrecision(4))} ms` : `${us} µs`;
}
