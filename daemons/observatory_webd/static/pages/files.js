/* The files of the cameras, by day: looked at, compared, downloaded, deleted. The address says which camera and which day. */

import { ROOT, get, pathOf, post } from "../kit/api.js";
import { attempt, confirmed, el, field, formatBytes, may, note, shown } from "../kit/dom.js";
import { statuses } from "../kit/status.js";
import { MOST_COMPARED, compare } from "./files-compare.js";
import { Grid } from "./files-grid.js";
import { namesOf, pictureOf, save } from "./files-shots.js";
import { Viewer } from "./files-viewer.js";

const PAGE = 120; // shots that are loaded at a time
const MOST_AT_ONCE = 1000; // shots of an answer, names of a request
const LONGEST_ADDRESS = 28_000; // of a zip; the server takes headers of 32 KiB
const REST_MS = 1500; // between two looks, however much happens
const LOOK_MS = 15_000; // others delete, and write by other ways
const MAKES_FILES = ["photo_taken", "sequence_ended", "recording_stopped", "recording_recovered", "test_photo_taken"];

const cameras = shown("camera");
const place = document.querySelector("#files");
let camera = null;
let day = null;
let days = [];
let total = 0;
let wanted = PAGE; // shots that are known
let seen = PAGE; // shots that have tiles
let looking = null; // the look under way
let again = false;
let lookedAt = -Infinity;
let timer = null;
let activity = "";
let shownFirst = false;
let toOpen = null; // a shot that the address names

const grid = new Grid({ open: (shot) => viewer.open(camera, shot), select: showSelection, all: selectAll, remove: () => removeShots(grid.selected) });
const viewer = new Viewer({ grid, list: () => grid.shots, hasMore: () => grid.shots.length < total, more, remove: removeShots });

const tabs = el("nav", { "aria-label": "Cameras", class: "row tabs" });
const daySelect = el("select", { on: { change: () => go(camera, daySelect.value) } });
const newer = button("Newer day", () => step(-1));
const older = button("Older day", () => step(1));
const dayZip = button("Day as zip", () => save(`${ROOT}${pathOf("camera", camera, "zip")}?day=${day}`));
const room = el("p", { class: "hint", id: "room" });
const summary = el("p", { role: "status", class: "summary" });
const newDay = button("", () => go(camera, days[0].day));
const chosen = el("span", { role: "status", id: "chosen" });
const allButton = button("All of this day", selectAll);
const noneButton = button("None", () => grid.selectNone());
const compareButton = button("Compare", () => compare(camera, grid.selected));
const zipButton = button("Zip", zipSelected);
const deleteButton = may("operator") ? button("Delete ...", () => removeShots(grid.selected), "danger") : null;
const selection = el("fieldset", { class: "needs-fresh" }, el("legend", { class: "unseen" }, "Selected shots"), el("div", { class: "row" }, chosen, allButton, noneButton, compareButton, zipButton, deleteButton));
const choosing = el("fieldset", { class: "needs-fresh" }, el("legend", { class: "unseen" }, "Day"), el("div", { class: "row" }, field("Day (UTC)", daySelect), newer, older, dayZip, newDay));
const aways = el("div", {}, ...cameras.map((one) => el("div", { dataset: { camera: one.name } }, el("p", { class: "away" }))));
const moreButton = button("Show more", () => attempt(more));

function button(text, act, kind = "second") {
  return el("button", { type: "button", class: kind, on: { click: act } }, text);
}

// where we are

function read() {
  const asked = new URLSearchParams(location.search);
  const name = asked.get("camera");
  const date = asked.get("day");
  return { camera: cameras.some((one) => one.name === name) ? name : cameras[0].name, day: /^\d{4}-\d\d-\d\d$/.test(date ?? "") ? date : null, shot: asked.get("shot"), withMetadata: asked.has("metadata") };
}

function addressOf(name, date) {
  return `/files?${new URLSearchParams(date === null ? { camera: name } : { camera: name, day: date })}`;
}

/** Go to a camera's day (null: its newest), as a step that the back button takes back. */
function go(name, date) {
  history.pushState(null, "", addressOf(name, date));
  enter();
}

function enter() {
  viewer.close();
  const to = read();
  if (to.camera !== camera) days = [];
  grid.selectNone();
  ({ camera, day } = to);
  toOpen = to.shot === null ? null : to;
  total = 0;
  wanted = seen = PAGE;
  shownFirst = false;
  grid.show(camera, [], 0);
  showPlace();
  showStatus(statuses.of("camera", camera), statuses.isFresh("camera", camera));
  look();
}

function step(by) {
  const at = days.findIndex((one) => one.day === day);
  const next = at < 0 ? days[0] : days[at + by];
  if (next) go(camera, next.day);
}

// what is there

/** Look anew; one look at a time, and another after it if something happened meanwhile. */
function look() {
  clearTimeout(timer);
  timer = null;
  if (!statuses.isFresh("camera", camera)) return Promise.resolve();
  again = looking !== null;
  looking ??= lookNow().finally(() => {
    looking = null;
    if (again) look();
  });
  return looking;
}

function lookSoon() {
  timer ??= setTimeout(look, Math.max(0, lookedAt + REST_MS - performance.now()));
}

async function lookNow() {
  lookedAt = performance.now();
  const from = { camera, day };
  const moved = () => from.camera !== camera || (from.day !== null && from.day !== day);
  try {
    const found = await get(pathOf("camera", camera, "days"));
    if (moved()) return;
    days = found;
    if (day === null && days.length > 0) {
      from.day = day = days[0].day;
      history.replaceState(null, "", addressOf(camera, day));
    }
    const shots = [];
    let count = 0;
    do {
      const limit = Math.min(wanted - shots.length, MOST_AT_ONCE);
      const query = new URLSearchParams({ ...(day === null ? {} : { day }), skip: String(shots.length), limit: String(limit) });
      const answer = await get(`${pathOf("camera", camera, "files")}?${query}`);
      if (moved()) return;
      count = answer.total;
      if (answer.shots.length === 0) break;
      shots.push(...answer.shots);
    } while (shots.length < Math.min(wanted, count));
    total = count;
    shownFirst = true;
    grid.show(camera, [...new Map(shots.map((shot) => [shot.stem, shot])).values()], seen);
    showDays();
    viewer.update();
    openNamed();
  } catch (error) {
    if (!moved()) summary.textContent = `The files cannot be listed: ${error.message}`;
  }
}

/** Open the shot that the address names, once. */
function openNamed() {
  if (toOpen === null) return;
  const { shot: stem, withMetadata } = toOpen;
  toOpen = null;
  history.replaceState(null, "", addressOf(camera, day));
  const shot = grid.shots.find((one) => one.stem === stem);
  if (shot) viewer.open(camera, shot, withMetadata);
  else note(`${stem} is not among the newest shots of this day.`, "bad");
}

async function more() {
  if (seen >= total) return;
  seen += PAGE;
  wanted = Math.max(wanted, seen);
  await look();
}

async function selectAll() {
  if (grid.shots.length < total) {
    wanted = total;
    await look();
  }
  grid.selectAll();
}

// what is done

function zipSelected() {
  const shots = grid.selected;
  const url = `${ROOT}${pathOf("camera", camera, "zip")}?${new URLSearchParams(shots.map((shot) => ["shot", shot.stem]))}`;
  const whole = total > 0 && shots.length === total;
  if (!whole && url.length > LONGEST_ADDRESS) note(`${shots.length} shots are too many for one zip by their names: select fewer, or all of the day.`, "bad");
  else save(whole ? `${ROOT}${pathOf("camera", camera, "zip")}?day=${day}` : url);
}

/** Ask, and delete shots with all that belongs to them; whether that was done. */
async function removeShots(shots) {
  if (!may("operator") || shots.length === 0) return false;
  const from = camera;
  const names = shots.flatMap(namesOf);
  const count = shots.reduce((sum, shot) => sum + shot.files.length, 0);
  const bytes = shots.reduce((sum, shot) => sum + shot.bytes, 0);
  const few = shots.slice(0, 5).map((shot) => shot.stem);
  const details = [
    `${few.join(", ")}${shots.length > few.length ? ` and ${shots.length - few.length} more` : ""}`,
    `${counted(count, "picture or video", "pictures or videos")} and ${counted(names.length - count, "companion", "companions")} (metadata, thumbnails): ${counted(names.length, "file", "files")}, ${formatBytes(bytes)}.`,
    "They cannot be brought back.",
  ];
  if (!(await confirmed(`Delete ${counted(shots.length, "shot", "shots")} of ${labelOf(from)}?`, { agree: "Delete", details }))) return false;
  const done = await attempt(async () => {
    const result = { files: 0, bytes: 0 };
    for (const together of requestsOf(shots)) {
      const answer = await post(pathOf("camera", from, "files", "delete"), { names: together });
      result.files += answer.deleted.length;
      result.bytes += answer.bytes;
    }
    return result;
  });
  if (done) note(`${counted(done.files, "file", "files")} deleted, ${formatBytes(done.bytes)} freed.`);
  await look();
  return done !== undefined;
}

/** The names of these shots, as many as a request may have. Each shot is in one: what lies beside a picture goes with it. */
function requestsOf(shots) {
  const requests = [[]];
  for (const names of shots.map(namesOf)) {
    if (requests.at(-1).length + names.length > MOST_AT_ONCE) requests.push([]);
    requests.at(-1).push(...names);
  }
  return requests;
}

function counted(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

// what is seen

function labelOf(name) {
  return cameras.find((one) => one.name === name).label;
}

function showPlace() {
  for (const tab of tabs.children) {
    if (tab.dataset.camera === camera) tab.setAttribute("aria-current", "true");
    else tab.removeAttribute("aria-current");
  }
  for (const line of aways.children) line.hidden = line.dataset.camera !== camera;
  summary.textContent = statuses.isFresh("camera", camera) ? "Reading ..." : "";
  moreButton.hidden = newDay.hidden = true;
  showDays();
}

function showDays() {
  const known = days.some((one) => one.day === day);
  const options = days.map((one) => [one.day, `${one.day} · ${counted(one.shots, "shot", "shots")} · ${formatBytes(one.bytes)}`]);
  if (!known && day !== null) options.unshift([day, `${day} · no shots`]);
  daySelect.replaceChildren(...options.map(([value, text]) => el("option", { value, selected: value === day }, text)));
  daySelect.disabled = options.length === 0;
  const at = days.findIndex((one) => one.day === day);
  newer.disabled = at <= 0 && (known || days.length === 0);
  older.disabled = at === days.length - 1 || !known;
  dayZip.disabled = !known;
  newDay.hidden = !(days.length > 0 && day !== null && days[0].day > day);
  newDay.textContent = days.length > 0 ? `Newest: ${days[0].day}` : "";
  showCount();
  showSelection();
}

function showCount() {
  if (!shownFirst) return;
  if (day === null) summary.textContent = `${labelOf(camera)} has no files yet.`;
  else if (total === 0) summary.textContent = `There are no files of ${day}.`;
  else summary.textContent = seen < total ? `The newest ${seen} of ${counted(total, "shot", "shots")}` : `${counted(total, "shot", "shots")}, the newest first`;
  moreButton.hidden = seen >= total;
}

function showSelection() {
  const shots = grid.selected;
  const pictures = shots.every((shot) => pictureOf(shot) !== null);
  const bytes = shots.reduce((sum, shot) => sum + shot.bytes, 0);
  chosen.textContent = shots.length === 0 ? "Nothing selected" : `${shots.length} selected, ${formatBytes(bytes)}`;
  allButton.disabled = total === 0 || shots.length === total;
  for (const one of [noneButton, compareButton, zipButton, deleteButton]) if (one) one.hidden = shots.length === 0;
  compareButton.disabled = shots.length < 2 || shots.length > MOST_COMPARED || !pictures;
  compareButton.title = `2 to ${MOST_COMPARED} pictures, side by side`;
}

function showStatus(wire, fresh) {
  const status = wire?.status;
  room.textContent = status ? `${formatBytes(status.free_bytes)} free for ${status.output_path}${fresh ? "" : " (as last known)"}` : "Free disk: unknown";
  for (const controls of place.querySelectorAll("fieldset.needs-fresh")) controls.disabled = !fresh;
}

// all of it

function start() {
  tabs.append(
    ...cameras.map((one) =>
      el("a", { href: addressOf(one.name, null), dataset: { camera: one.name }, on: { click: (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        go(one.name, null);
      } } }, one.label),
    ),
  );
  for (const line of aways.children) statuses.guard(line, "camera", line.dataset.camera);
  const keys = el("p", { class: "hint keys" }, "Arrow keys go from shot to shot, Enter opens, Space selects on a box (with Shift a range), Ctrl+A selects all, Delete deletes.");
  place.append(tabs, el("div", { class: "panel bar" }, aways, choosing), el("div", { class: "panel bar selecting" }, selection), room, summary, grid.element, moreButton, keys);
  new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && attempt(more), { rootMargin: "400px" }).observe(moreButton);
  for (const one of cameras) {
    let wasFresh = false;
    statuses.watch("camera", one.name, (wire, fresh) => {
      if (one.name !== camera) return;
      showStatus(wire, fresh);
      const doing = `${one.name} ${wire.status?.sequence_frame_count} ${wire.status?.scan_photos} ${wire.status?.recording}`;
      if (fresh && (!wasFresh || !shownFirst || doing !== activity)) lookSoon();
      wasFresh = fresh;
      activity = doing;
    });
  }
  statuses.addEventListener("happening", ({ detail }) => {
    if (detail.source === `camera/${camera}` && MAKES_FILES.includes(detail.name)) lookSoon();
  });
  setInterval(() => document.visibilityState === "visible" && lookSoon(), LOOK_MS);
  addEventListener("popstate", enter);
  enter();
}

if (cameras.length === 0) place.append(el("p", {}, "No camera is configured here."));
else start();
