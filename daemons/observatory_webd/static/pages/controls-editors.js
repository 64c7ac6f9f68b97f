/* How one control is edited, by its type. An editor has `element`, `show(value)`, and `busy`: whether somebody is at it, so that
 * nothing may be put in the place of what they type, or under their caret before they do: it would go in among other digits. */

import { el, freshId } from "../kit/dom.js";
import { isLogarithmic, isMomentary, partsOf } from "./controls-groups.js";
import { STEPS, numberText, placeOnSlider, valueAt, valueText } from "./controls-values.js";

const MOST_REPEATED = 10; // groups of numbers

/** The editor of a control. `about`: { id, label, hint (id) }. `told`: `commit(value)` is called with what somebody has chosen, `come()`
 * when they come to the field, `typed()` when they begin to change it, `left()` when they leave it or give up. */
export function editorFor(name, info, about, told) {
  if (isMomentary(name)) return new Buttons(info, about, told.commit);
  if (Object.keys(info.values).length && info.count === 1) return new Choice(info, about, told.commit);
  if (info.repeated || info.count > 1) return new Numbers(name, info, about, told);
  if (info.type === "bool") return new Flag(about, told.commit);
  return new OneNumber(info, about, told);
}

const described = ({ id, hint }) => ({ id, "aria-describedby": hint });

class Flag {
  busy = false;

  constructor(about, commit) {
    this.element = el("input", { type: "checkbox", ...described(about), on: { change: () => commit(this.element.checked) } });
  }

  show(value) {
    this.element.checked = Boolean(value);
    this.element.indeterminate = value === null;
  }
}

class Choice {
  busy = false;

  constructor(info, about, commit) {
    const options = Object.entries(info.values).map(([word, number]) => el("option", { value: String(number) }, word));
    this.element = el("select", { ...described(about), on: { change: () => commit(Number(this.element.value)) } }, options);
  }

  show(value) {
    this.element.value = String(value);
  }
}

class Buttons {
  busy = false;

  constructor(info, about, commit) {
    const buttons = Object.entries(info.values).map(([word, number]) =>
      el("button", { type: "button", class: "second", on: { click: () => commit(number) } }, word));
    this.element = el("div", { id: about.id, class: "row", role: "group", "aria-label": about.label, "aria-describedby": about.hint }, buttons);
  }

  show() {}
}

/** Whether somebody is in `place`: not any more once they have sent or taken back what they typed, until they do something there. */
class Presence {
  #place;
  #here = false;

  constructor(place, come, leave) {
    this.#place = place;
    for (const name of ["focusin", "pointerdown", "keydown", "select", "beforeinput"]) {
      place.addEventListener(name, ({ key }) => {
        if (this.#here || !this.#focused || ["Enter", "Escape", "Tab"].includes(key)) return;
        this.#here = true;
        come();
      });
    }
    place.addEventListener("focusout", ({ relatedTarget }) => {
      if (!this.#here || place.contains(relatedTarget)) return;
      this.#here = false;
      leave();
    });
  }

  /** A field that is disabled meanwhile need not say that it lost the focus. */
  get here() {
    return this.#here && this.#focused;
  }

  get #focused() {
    return this.#place.contains(document.activeElement);
  }

  end() {
    this.#here = false;
  }
}

/** A field, and a slider where there is a range. */
class OneNumber {
  #typed = false;
  #shown = null;

  constructor(info, about, told) {
    this.info = info;
    this.logarithmic = isLogarithmic(info);
    this.told = told;
    this.field = numberField(info, described(about), {
      input: () => this.#type(),
      change: () => this.#take(),
      keydown: (event) => {
        if (event.key === "Enter") this.#take();
        if (event.key === "Escape") this.#giveUp();
      },
    });
    this.presence = new Presence(this.field, told.come, () => this.#giveUp());
    const hasRange = info.minimum !== null && info.maximum !== null && info.maximum > info.minimum;
    this.slider = hasRange ? this.#makeSlider(about, told) : null;
    this.element = el("div", { class: "control-number" }, this.slider, this.field);
  }

  get busy() {
    return this.#typed || this.presence.here;
  }

  show(value) {
    this.#shown = value;
    this.field.value = value === null ? "" : numberText(value);
    this.#place(value);
  }

  #makeSlider({ label, hint }, told) {
    const slider = el("input", { type: "range", min: 0, max: STEPS, step: 1, "aria-label": `${label}, slider`, "aria-describedby": hint });
    slider.addEventListener("input", () => {
      if (!this.#typed) told.come();
      this.#typed = true;
      const value = valueAt(Number(slider.value), this.info, this.logarithmic);
      this.field.value = numberText(value);
      slider.setAttribute("aria-valuetext", valueText(value, this.info));
      told.commit(value);
    });
    for (const name of ["change", "blur"]) slider.addEventListener(name, () => this.#end());
    return slider;
  }

  #place(value) {
    if (!this.slider || value === null) return;
    this.slider.value = placeOnSlider(value, this.info, this.logarithmic);
    this.slider.setAttribute("aria-valuetext", valueText(value, this.info));
  }

  #type() {
    const begun = !this.#typed;
    this.#typed = true;
    if (begun) this.told.typed();
  }

  #take() {
    const value = this.field.valueAsNumber;
    if (!this.#typed || Number.isNaN(value)) {
      this.#giveUp();
      return;
    }
    this.presence.end();
    this.#typed = false;
    this.#place(value);
    this.told.commit(value);
  }

  #giveUp() {
    if (this.#typed) this.show(this.#shown);
    this.#end();
  }

  #end() {
    this.presence.end();
    this.#typed = false;
    this.told.left();
  }
}

/** Several numbers, or (repeated) several groups of them; they are sent together, by a button or Enter. */
class Numbers {
  #typed = false;
  #shown = null;

  constructor(name, info, about, told) {
    this.info = info;
    this.parts = partsOf(name, info.count);
    this.told = told;
    this.groups = el("div", { class: "control-groups" });
    this.presence = new Presence(this.groups, told.come, told.left);
    this.set = el("button", { type: "button", class: "second", disabled: true, on: { click: () => this.#take() } }, "Set");
    this.undo = el("button", { type: "button", class: "quiet", hidden: true, on: { click: () => this.#giveUp() } }, "Undo");
    const more = info.repeated ? this.#makeMore() : [];
    this.element = el("div", { id: about.id, role: "group", "aria-label": about.label, "aria-describedby": about.hint, class: "control-numbers" },
      this.groups, el("div", { class: "row" }, more, this.set, this.undo));
    if (!info.repeated) this.#addGroup(null);
  }

  get busy() {
    return this.#typed || this.presence.here;
  }

  show(value) {
    this.#shown = value;
    if (this.info.repeated) {
      this.groups.replaceChildren();
      for (const numbers of value ?? []) this.#addGroup(numbers);
    } else {
      this.#fields(this.groups.firstElementChild).forEach((field, index) => {
        field.value = value === null ? "" : numberText(value[index]);
      });
    }
    this.#count();
  }

  #makeMore() {
    this.add = el("button", { type: "button", class: "second", on: { click: () => this.#type(() => this.#addGroup(null)) } }, "Add");
    this.remove = el("button", { type: "button", class: "second", on: { click: () => this.#type(() => this.groups.lastElementChild.remove()) } }, "Remove last");
    return [this.add, this.remove];
  }

  #addGroup(numbers) {
    const number = this.groups.children.length + 1;
    const fields = this.parts.map((part, index) => {
      const id = freshId("part");
      const field = numberField(this.info, { id }, {
        input: () => this.#type(() => {}),
        keydown: (event) => {
          if (event.key === "Enter") this.#take();
          if (event.key === "Escape") this.#giveUp();
        },
      });
      field.value = numbers ? numberText(numbers[index]) : "";
      return el("span", { class: "control-part" }, el("label", { for: id }, this.info.repeated ? `${number}: ${part}` : part), field);
    });
    this.groups.append(el("div", { class: "control-parts" }, fields));
  }

  #fields(group) {
    return [...group.querySelectorAll("input")];
  }

  #type(change) {
    change();
    const begun = !this.#typed;
    this.#typed = true;
    this.#count();
    if (begun) this.told.typed();
  }

  #count() {
    const count = this.groups.children.length;
    if (this.info.repeated) {
      this.add.disabled = count >= MOST_REPEATED;
      this.remove.disabled = count === 0;
    }
    const whole = count > 0 && this.#fields(this.groups).every((field) => !Number.isNaN(field.valueAsNumber));
    this.set.disabled = !this.#typed || !whole;
    this.undo.hidden = !this.#typed;
  }

  #take() {
    if (this.set.disabled) return;
    this.presence.end();
    const groups = [...this.groups.children].map((group) => this.#fields(group).map((field) => field.valueAsNumber));
    this.#typed = false;
    this.#count();
    this.told.commit(this.info.repeated ? groups : groups[0]);
  }

  #giveUp() {
    this.presence.end();
    const typed = this.#typed;
    this.#typed = false;
    if (typed) this.show(this.#shown);
    this.told.left();
  }
}

function numberField(info, properties, on) {
  const inputMode = info.type === "int" && info.minimum !== null && info.minimum >= 0 ? "numeric" : "decimal";
  return el("input", { type: "number", step: "any", min: info.minimum, max: info.maximum, inputMode, autocomplete: "off", ...properties, on });
}
