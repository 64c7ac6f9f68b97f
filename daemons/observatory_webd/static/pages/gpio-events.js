/* The last events of a daemon since this page was opened, newest first. */

import { el, formatClock } from "../kit/dom.js";
import { statuses } from "../kit/status.js";

const KEPT = 50;

export class EventLog {
  #rows = [];
  #labels = new Map();
  #due = false;

  constructor(name, label) {
    this.body = el("tbody");
    this.table = el("table", { hidden: true },
      el("thead", {}, el("tr", {}, ["Time", "Device", "Event", "Data"].map((text) => el("th", { scope: "col" }, text)))), this.body);
    this.empty = el("p", { class: "quiet-text" }, "Nothing has happened since this page was opened.");
    this.element = el("details", { class: "events", open: true }, el("summary", {}, `Events, the last ${KEPT}`),
      el("div", { class: "scroll event-list", tabIndex: 0, role: "region", "aria-label": `Events of ${label}` }, this.table, this.empty));
    statuses.addEventListener("happening", ({ detail }) => {
      if (detail.source === `gpio/${name}`) this.#add(detail);
    });
    statuses.addEventListener("lost", ({ detail }) => this.#add({ name: "events were missed", data: { date: new Date().toISOString(), ...detail } }));
  }

  /** Which devices there are, by whose labels they are shown. */
  knows(devices) {
    this.#labels = new Map(devices.map(({ id, label }) => [id, label]));
  }

  #add({ name, data }) {
    this.#rows.unshift({ name, data });
    this.#rows.length = Math.min(this.#rows.length, KEPT);
    if (this.#due) return;
    this.#due = true; // drawn once for all that comes at once
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#due = false;
    this.empty.hidden = true;
    this.table.hidden = false;
    this.body.replaceChildren(...this.#rows.map(({ name, data: { date, source, ...rest } }) =>
      el("tr", {}, el("td", { class: "time" }, formatClock(date ?? null)), el("td", {}, this.#labels.get(source) ?? source ?? ""),
        el("td", {}, name), el("td", {}, Object.entries(rest).map(([key, value]) => `${key} ${textOf(value)}`).join(", ")))));
  }
}

function textOf(value) {
  if (value === null) return "unknown";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
