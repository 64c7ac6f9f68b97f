/* A camera's controls, drawn from what it says of them: applied at once, marked when the camera reports something else. */

import { Problem, get, pathOf, post } from "../kit/api.js";
import { attempt, el, may } from "../kit/dom.js";
import { statuses } from "../kit/status.js";
import { closedText } from "./camera-state.js";
import { callsFor, callsForDefaults, grouped } from "./controls-groups.js";
import { Row } from "./controls-row.js";
import { Sender } from "./controls-sender.js";
import { whileSeen } from "./live-seen.js";

const CONFIRM_S = 0.5; // for so long the camera may wait for a frame before it answers
const READ_EVERY_MS = 2000;

/** The controls of a camera of this name; what is set elsewhere appears here within a second or so. */
export function controlsPanel(camera, { label = camera } = {}) {
  return new Controls(camera, label).element;
}

class Controls {
  #controls = null;
  #rows = new Map();
  #groups = []; // { names, count, back }: elements
  #metadata = null; // null too where the camera is gone: its last ones say nothing of now
  #readAt = -Infinity;
  #definitions = null;
  #loaded = null;
  #loading = false;
  #answers = 0; // to what was set here: what was read while one came may be older
  #sender = new Sender();

  constructor(camera, label) {
    this.camera = camera;
    this.trouble = el("p", { class: "warn", role: "status", hidden: true });
    this.list = el("fieldset", { class: "controls-list", disabled: !may("operator") });
    this.element = el("div", { class: "controls", role: "group", "aria-label": `Controls of ${label}` },
      this.trouble,
      may("operator") ? null : el("p", { class: "quiet-text" }, "Only an operator may change these."),
      el("fieldset", { class: "needs-fresh" }, this.list));
    this.element.addEventListener("edited", () => this.#update());
    statuses.guard(this.element, "camera", camera, closedText);
    statuses.watch("camera", camera, (wire, fresh) => {
      if (fresh) this.#attend(wire.status);
      this.#update();
    });
    whileSeen(this.element, READ_EVERY_MS, async () => {
      if (!statuses.isFresh("camera", camera)) return;
      this.#read(await get(pathOf("camera", camera, "metadata")));
    });
  }

  get #frames() {
    return statuses.of("camera", this.camera)?.status?.frames ?? 0;
  }

  /** Read them again if they have changed, by whomever, or the daemon or its camera is another one. */
  async #attend({ boot_id, model, state, settings_revision }) {
    const now = [boot_id, model, state === "offline", settings_revision].join(" ");
    if (now === this.#loaded || this.#loading) return;
    this.#loading = true;
    const answers = this.#answers;
    try {
      const controls = await get(pathOf("camera", this.camera, "controls"));
      if (this.#controls === null) this.#read(await get(pathOf("camera", this.camera, "metadata"))); // so that no row grows later
      if (answers !== this.#answers) return; // the next status has them read again
      this.#show(controls);
      this.#loaded = now;
      this.#say(null);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#say(`The controls cannot be read: ${error.detail}`); // the next status tries again
    } finally {
      this.#loading = false;
    }
  }

  #say(trouble) {
    this.trouble.hidden = trouble === null;
    if (this.trouble.textContent !== (trouble ?? "")) this.trouble.textContent = trouble ?? "";
  }

  #show(controls) {
    const definitions = JSON.stringify(controls, (key, value) => (key === "value" ? undefined : value));
    this.#controls = controls;
    if (definitions !== this.#definitions) this.#draw(controls);
    this.#definitions = definitions;
    this.#update();
  }

  #draw(controls) {
    this.#rows.clear();
    this.#groups = [];
    const actions = { set: (name, value) => this.#set(name, value), reset: (names) => this.#reset(names) };
    const groups = grouped(Object.keys(controls)).map(([title, names], index) => {
      const rows = names.map((name) => new Row(name, controls, actions));
      names.forEach((name, at) => this.#rows.set(name, rows[at]));
      const count = el("span", { class: "quiet-text" });
      const back = el("button", { type: "button", class: "second", "aria-label": `${title}: back to defaults`, on: { click: () => this.#reset(names) } }, "All of these to defaults");
      this.#groups.push({ names, count, back });
      return el("details", { class: "controls-group", open: index === 0 }, el("summary", {}, title, " ", count),
        el("div", { class: "controls-grid" }, rows.map((row) => row.element)), back);
    });
    this.list.replaceChildren(...groups);
  }

  #update() {
    if (this.#controls === null) return;
    const known = { controls: this.#controls, metadata: this.#metadata, readAt: this.#readAt, frames: this.#frames };
    for (const row of this.#rows.values()) row.update(known);
    for (const { names, count, back } of this.#groups) {
      const set = names.filter((name) => this.#rows.get(name).isSet).length;
      count.textContent = set ? `${set} changed` : "";
      back.hidden = set === 0;
    }
  }

  #read(metadata) {
    const known = Object.keys(metadata).length > 0;
    this.#metadata = known ? metadata : null;
    this.#readAt = known ? performance.now() : -Infinity;
    this.#update();
  }

  #set(name, value) {
    const row = this.#rows.get(name);
    row.wanted = value;
    row.refuse(null);
    this.#update();
    this.#sender.send(name, async () => {
      let refusal = null;
      try {
        for (const call of callsFor(name, value, this.#controls, CONFIRM_S)) await this.#call(call);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        refusal = error.detail;
      }
      if (this.#sender.has(name)) return; // a newer one is on its way
      row.wanted = undefined;
      if (refusal !== null) row.refuse(`Not set: ${refusal}`);
      this.#update();
    });
  }

  #reset(names) {
    this.#sender.send(`defaults ${names}`, () => attempt(async () => {
      for (const call of callsForDefaults(names, this.#controls, CONFIRM_S)) await this.#call(call);
      this.#update();
    }));
  }

  async #call([path, body]) {
    const answer = await post(pathOf("camera", this.camera, path), body);
    this.#answers += 1;
    this.#loaded = null; // what others have set meanwhile is read with the next status
    const seen = Object.entries(answer.in_effect ?? {}).filter(([, value]) => value !== null);
    for (const [name, value] of Object.entries(answer.controls)) {
      if (this.#controls[name]) this.#controls[name].value = value;
      this.#rows.get(name)?.confirm({ value, complete: answer.complete, seen: seen.some(([one]) => one === name), frames: this.#frames });
    }
    if (seen.length) this.#read({ ...this.#metadata, ...Object.fromEntries(seen) });
  }
}
