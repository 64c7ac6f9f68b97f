/* One control: its name, its editor, its range, what became of it. */

import { el, freshId } from "../kit/dom.js";
import { editorFor } from "./controls-editors.js";
import { backText, chosenBy, effective, isMomentary, labelOf, ruledBy } from "./controls-groups.js";
import { agrees, isSame, rangeText, valueText } from "./controls-values.js";

const SETTLES_MS = 1000; // a frame that was under way still has the old value
const COUNTED_AFTER_MS = 2000; // the count of frames that is known may be a second old
const CONCLUSIVE_FRAMES = 12; // what has had no effect until then has none
const OLD_MS = 6000; // what was read so long ago says nothing of now
const GROUPS_OF_FIELDS = new Set(["DIV"]);

export class Row {
  wanted; // what is on its way to the camera
  #held;
  #heldSince = { at: -Infinity, frames: -Infinity };
  #heldWhenBegun;
  #unconfirmed = false; // no frame has had it yet

  /** `set(name, value)` and `reset(names)` are called when somebody asks for it. */
  constructor(name, controls, { set, reset }) {
    this.name = name;
    const info = controls[name];
    const label = labelOf(name);
    const about = { id: freshId("control"), label, hint: freshId("hint") };
    this.editor = editorFor(name, info, about, {
      commit: (value) => set(name, value),
      come: () => { this.#heldWhenBegun = this.#held; },
      typed: () => { this.refuse(null); this.#edited(); },
      left: () => this.#edited(),
    });
    const unit = info.unit ? ` (${info.unit === "us" ? "µs" : info.unit})` : "";
    this.reading = el("span", { class: "control-reading quiet-text" });
    const isGroup = GROUPS_OF_FIELDS.has(this.editor.element.tagName) && this.editor.element.id === about.id;
    const title = isGroup ? el("span", { title: name }, label + unit) : el("label", { for: about.id, title: name }, label + unit);
    const back = backText(name, controls);
    this.back = el("button", { type: "button", class: "quiet control-back", hidden: true, "aria-label": `${label}: back to ${back.toLowerCase()}`,
      on: { click: () => reset([name]) } }, back);
    this.state = el("p", { class: "control-state", hidden: true });
    this.refusal = el("p", { class: "control-refusal bad", role: "status", hidden: true });
    const range = isMomentary(name) ? "" : rangeText(info);
    const hint = el("small", { id: about.hint, class: "hint" }, [info.description, range].filter(Boolean).join("; "));
    this.place = el("fieldset", {}, this.editor.element);
    this.element = el("div", { class: "control", dataset: { control: name, type: info.type } },
      el("div", { class: "control-head" }, title, this.reading, this.back), this.place, hint, this.state, this.refusal);
  }

  /** Show what holds: all the camera's `controls`, its `metadata` (null: not known) and since when (`readAt`) they are so, and how many `frames` it had. */
  update({ controls, metadata, readAt, frames }) {
    const { name } = this;
    const info = controls[name];
    const held = effective(name, controls);
    const now = performance.now();
    const begunAnew = frames < this.#heldSince.frames; // the daemon counts them in each of its runs
    if (begunAnew || !isSame(held, this.#held)) this.#heldSince = { at: now, frames };
    else if (now - this.#heldSince.at < COUNTED_AFTER_MS) this.#heldSince.frames = frames;
    this.#held = held;
    const [reading, chosen, ruled] = [metadata?.[name], chosenBy(name, controls), ruledBy(name, controls)];
    const shown = chosen || info.value === null ? reading ?? held : held;
    const { busy } = this.editor;
    if (!busy) this.editor.show(this.wanted ?? shown);
    const isTime = info.unit === "us" && info.count === 1;
    this.reading.textContent = isTime && !busy ? valueText(this.wanted ?? shown, info) : "";
    const lasts = !isMomentary(name);
    this.isSet = lasts && !chosen && info.value !== null && !isSame(info.value, info.default);
    this.back.hidden = !this.isSet || info.default === null;
    this.place.disabled = Boolean(ruled?.refused);
    const settled = readAt - this.#heldSince.at > SETTLES_MS;
    const conclusive = frames - this.#heldSince.frames >= CONCLUSIVE_FRAMES;
    const isTold = lasts && !chosen && !ruled && this.wanted === undefined && info.value !== null && (reading ?? null) !== null;
    const agreed = isTold && agrees(info.value, reading, info);
    if (conclusive || (settled && agreed)) this.#unconfirmed = false;
    const differs = isTold && settled && conclusive && !agreed && now - readAt < OLD_MS;
    this.element.classList.toggle("differs", differs);
    this.element.classList.toggle("pending", this.wanted !== undefined);
    if (this.wanted !== undefined) this.#say("Setting…");
    else if (busy && !isSame(held, this.#heldWhenBegun)) this.#say(`Now ${valueText(held, info)}: changed elsewhere.`, "warn");
    else if (ruled) this.#say(ruled.text);
    else if (chosen && metadata) this.#say(`Chosen by ${chosen}.`);
    else if (differs) this.#say(`Set to ${valueText(info.value, info)}, but the camera reports ${valueText(reading, info)}.`, "warn");
    else if (this.#unconfirmed) this.#say("No frame has confirmed it yet.");
    else this.#say("");
  }

  /** The camera took `value` and has waited for a frame with it. `complete`: one had it; `seen`: one said what it has instead. */
  confirm({ value, complete, seen, frames }) {
    this.refuse(null);
    this.#held = value;
    this.#heldWhenBegun = value;
    this.#heldSince = seen ? { at: -Infinity, frames: -Infinity } : { at: performance.now(), frames };
    this.#unconfirmed = !complete && !seen;
  }

  /** Why it was not set; null: it was. */
  refuse(why) {
    this.refusal.hidden = why === null;
    this.refusal.textContent = why ?? "";
  }

  #edited() {
    this.element.dispatchEvent(new Event("edited", { bubbles: true }));
  }

  #say(text, kind = "quiet-text") {
    this.state.hidden = text === "";
    this.state.className = `control-state ${kind}`;
    if (this.state.textContent !== text) this.state.textContent = text;
  }
}
