/* Small helpers for what every page draws. Text is always set as text, never as HTML. */

/** An element. `properties`: "class", "for", "dataset", "on" (event -> listener); aria-*, role, list and data as attributes; others as properties. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key === "class") element.className = value;
    else if (key === "for") element.htmlFor = value;
    else if (key === "dataset") Object.assign(element.dataset, value);
    else if (key === "on") for (const [name, listener] of Object.entries(value)) element.addEventListener(name, listener);
    else if (key.includes("-") || ["role", "list", "scope", "colspan"].includes(key)) element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

let made = 0;

/** An id that no other element of the page has. */
export function freshId(prefix = "id") {
  made += 1;
  return `${prefix}-${made}`;
}

/** A label and its input, select or other control, joined. */
export function field(label, control, { hint = null, unit = null } = {}) {
  control.id ||= freshId("field");
  const parts = [el("label", { for: control.id }, unit ? `${label} (${unit})` : label), control];
  if (hint) {
    const id = `${control.id}-hint`;
    control.setAttribute("aria-describedby", id);
    parts.push(el("small", { id, class: "hint" }, hint));
  }
  return el("div", { class: "field" }, parts);
}

/** The daemons of a kind ("camera", "focuser", "gpio") that webd shows: [{kind, name, label}], in the config's order. */
export function shown(kind) {
  return JSON.parse(document.querySelector("#shown").textContent).filter((item) => item.kind === kind);
}

/** What this page was made for, "csrf-token", "user" or "role". */
export function madeFor(name) {
  return document.querySelector(`meta[name="${name}"]`).content;
}

/** Whether who is logged in may do what `role` may ("viewer", "operator", "administrator"). */
export function may(role) {
  const roles = ["viewer", "operator", "administrator"];
  return roles.indexOf(madeFor("role")) >= roles.indexOf(role);
}

const notes = document.querySelector("#notes");

/** Show a modal dialog; notes are told in it, since all else is hidden and dead meanwhile. */
export function showModal(dialog) {
  dialog.showModal();
  placeNotes();
}

/** Where they are seen, heard and can be dismissed: in the topmost dialog, or in what fills the screen (a video shows nothing in it). */
function placeNotes() {
  const alone = document.fullscreenElement;
  const place = [...document.querySelectorAll("dialog[open]")].at(-1) ?? (alone instanceof HTMLMediaElement ? null : alone) ?? document.body;
  if (notes.parentElement !== place) place.append(notes);
}
document.addEventListener("close", placeNotes, true); // before the dialog is removed, and they with it
document.addEventListener("fullscreenchange", placeNotes);

/** Tell the user something, for some seconds ("good") or until it is dismissed ("bad"). */
export function note(message, kind = "good") {
  const dismiss = el("button", { type: "button", class: "quiet", "aria-label": "Dismiss", on: { click: () => line.remove() } }, "×");
  const line = el("p", { class: `note ${kind}`, role: kind === "bad" ? "alert" : null }, message, dismiss);
  notes.append(line);
  if (kind === "good") setTimeout(() => line.remove(), 5000);
}

/** Run what may fail (a promise or a function) and tell the user why it did; its value, or undefined. */
export async function attempt(action) {
  try {
    return await (typeof action === "function" ? action() : action);
  } catch (error) {
    note(error.detail ?? error.message, "bad");
    return undefined;
  }
}

/** Ask before something that cannot be taken back; whether the user agreed. `details`: lines below the question. */
export function confirmed(question, { agree, details = [], danger = true }) {
  const yes = el("button", { type: "submit", value: "yes", class: danger ? "danger" : "" }, agree);
  const no = el("button", { type: "submit", value: "no", class: "second", formNoValidate: true }, "Cancel");
  const title = el("h2", { id: freshId("question") }, question);
  const lines = details.map((line) => el("p", {}, line));
  const dialog = el("dialog", { class: "question", "aria-labelledby": title.id }, el("form", { method: "dialog" }, title, lines, el("div", { class: "row" }, yes, no)));
  document.body.append(dialog);
  showModal(dialog);
  no.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** 1234567 -> "1.2 MB"; "unknown" for null. */
export function formatBytes(count) {
  if (count === null || count === undefined) return "unknown";
  let value = count;
  let unit = 0;
  while (Number(value.toPrecision(3)) >= 1000 && unit < UNITS.length - 1) { // 999.5 is written as 1000
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${UNITS[unit]}`;
}

/** An ISO date (UTC) as this browser's local date and time, "unknown" for null. */
export function formatTime(iso) {
  return iso ? new Date(iso).toLocaleString(undefined, { hourCycle: "h23" }) : "unknown";
}

/** A date's time of day, in this browser's zone; "unknown" for null. */
export function formatClock(date) {
  return date ? new Date(date).toLocaleTimeString(undefined, { hourCycle: "h23" }) : "unknown";
}
