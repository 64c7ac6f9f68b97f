/* The controls that a use case brings along: some of the camera's, each with a value. */

import { el } from "../kit/dom.js";
import { rangeText } from "./controls-values.js";

export class Extras {
  #infos;
  #rows = new Map(); // control -> { element, input }
  #list = el("div", { class: "extras" });
  #add = el("select", { "aria-label": "Control to add" });
  #onEdit;

  constructor(infos, onEdit) {
    this.#infos = infos;
    this.#onEdit = onEdit;
    const add = el("button", { type: "button", class: "second", on: { click: () => this.#addChosen() } }, "Add");
    this.element = el("div", {}, this.#list, el("div", { class: "row" }, this.#add, add));
    this.#offer();
  }

  /** Show these controls. */
  set(values) {
    this.#list.replaceChildren();
    this.#rows.clear();
    for (const [name, value] of Object.entries(values)) this.#make(name, value);
    this.#offer();
  }

  /** What the user wants; a text that is no JSON stays a text, and the camera says what it thinks of it. */
  get() {
    return Object.fromEntries([...this.#rows].map(([name, { input }]) => [name, valueOf(input.value)]));
  }

  /** The field of a control, or null. */
  inputOf(name) {
    return this.#rows.get(name)?.input ?? null;
  }

  #offer() {
    const free = Object.keys(this.#infos).filter((name) => !this.#rows.has(name)).sort();
    this.#add.replaceChildren(...free.map((name) => el("option", { value: name }, name)));
  }

  #addChosen() {
    const name = this.#add.value;
    if (!name) return;
    const info = this.#infos[name];
    this.#make(name, info.value ?? info.default);
    this.#offer();
    this.#rows.get(name).input.focus();
    this.#onEdit();
  }

  #make(name, value) {
    const info = this.#infos[name] ?? null;
    const choices = info === null ? [] : info.type === "bool" ? [["on", true], ["off", false]] : info.count === 1 ? Object.entries(info.values) : [];
    const text = JSON.stringify(value) ?? "";
    const attributes = { "aria-label": name, on: { input: () => this.#onEdit() } };
    const input = choices.length
      ? el("select", attributes, choices.map(([word, one]) => el("option", { value: JSON.stringify(one), selected: one === value }, word)))
      : el("input", { type: "text", value: text, ...attributes });
    const remove = el("button", { type: "button", class: "quiet", "aria-label": `Remove ${name}`, on: { click: () => this.#remove(name) } }, "×");
    const range = info === null ? "not of this camera" : rangeText(info);
    const element = el("div", { class: "extra" }, el("div", {}, name, " ", el("small", { class: "hint" }, range)), el("div", { class: "row" }, input, remove));
    this.#rows.set(name, { element, input });
    this.#list.append(element);
  }

  #remove(name) {
    this.#rows.get(name).element.remove();
    this.#rows.delete(name);
    this.#offer();
    this.#onEdit();
  }
}

function valueOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
