/* A camera's settings as a whole: kept under names, loaded, taken over by an equal camera, reset. */

import { Problem, get, pathOf, post } from "../kit/api.js";
import { attempt, confirmed, el, field, formatTime, may, note, shown } from "../kit/dom.js";
import { limitsOf } from "../kit/limits.js";
import { statuses } from "../kit/status.js";
import { closedText } from "./camera-state.js";

/** The settings of a camera of this name; sets that another user keeps appear here by themselves. */
export function setsPanel(camera) {
  return new Sets(camera).element;
}

class Sets {
  #loaded = null;
  #loading = false;
  #saved = [];

  constructor(camera) {
    this.camera = camera;
    this.others = shown("camera").filter(({ name }) => name !== camera);
    this.trouble = el("p", { class: "warn", role: "status", hidden: true });
    this.summary = el("p", { class: "quiet-text", role: "status" });
    this.rows = el("tbody");
    this.table = el("div", { class: "scroll", role: "region", "aria-label": "Saved settings", tabIndex: 0, hidden: true },
      el("table", {}, el("thead", {}, el("tr", {}, ["Name", "Saved", ""].map((head) => (head ? el("th", { scope: "col" }, head) : el("td"))))), this.rows));
    this.element = el("div", { class: "sets" }, this.trouble, this.summary,
      el("fieldset", { class: "needs-fresh" }, el("fieldset", { disabled: !may("operator") },
        this.table, this.#makeSaving(), this.others.length ? this.#makeCopying() : null, this.#makeReset())));
    statuses.guard(this.element, "camera", camera, closedText);
    statuses.watch("camera", camera, (wire, fresh) => {
      if (fresh) this.#attend(wire.status);
    });
    for (const { name } of this.others) statuses.watch("camera", name, () => this.#compare());
    if (may("operator")) attempt(this.#limit());
  }

  async #limit() {
    const { Copy } = await limitsOf("Copy");
    for (const input of [this.name, this.saveAs]) if (input) input.maxLength = Copy.save_as.maxLength;
  }

  #makeSaving() {
    this.name = el("input", { required: true, autocomplete: "off" });
    const form = el("form", { class: "sets-form" }, field("Keep the present settings as", this.name), el("button", {}, "Save"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const name = this.name.value.trim();
      if (!name || (this.#saved.includes(name) && !(await confirmed(`There are settings called ${name}. Put the present ones in their place?`, { agree: "Replace" })))) return;
      if (await this.#act("save", name, `Saved as ${name}.`)) this.name.value = "";
    });
    return form;
  }

  #makeCopying() {
    this.to = el("select", {}, this.others.map(({ name, label }) => el("option", { value: name }, label)));
    this.what = el("select");
    this.saveAs = el("input", { autocomplete: "off" });
    const form = el("form", { class: "sets-form" }, field("What to copy", this.what), field("To camera", this.to),
      field("Keep there as (or empty)", this.saveAs), el("button", { class: "second" }, "Copy"));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const [set, to, name] = [this.what.value, this.to.value, this.saveAs.value.trim()];
      const path = set === "" ? ["copy"] : ["sets", this.#saved[Number(set)], "copy"];
      const done = await attempt(post(this.#path(...path), name ? { to, save_as: name } : { to }));
      if (done) note(`${this.others.find((other) => other.name === to).label} has them now.`);
    });
    return form;
  }

  #makeReset() {
    const reset = el("button", { type: "button", class: "danger" }, "Reset all to defaults");
    reset.addEventListener("click", async () => {
      if (!(await confirmed("All controls and use cases go back to the camera's configuration. Saved settings stay.", { agree: "Reset all" }))) return;
      const done = await attempt(post(this.#path("reset")));
      if (done) {
        this.#show(done);
        note("All is as the configuration says.");
      }
    });
    return el("div", { class: "row" }, reset);
  }

  #path(...more) {
    return pathOf("camera", this.camera, "settings", ...more);
  }

  /** Have the daemon do something with a set; whether it did. */
  async #act(action, name, told) {
    const done = await attempt(post(this.#path("sets", name, action)));
    if (!done) return false;
    this.#show(done);
    note(told);
    return true;
  }

  async #attend({ boot_id, settings_revision }) {
    const now = `${boot_id} ${settings_revision}`;
    if (now === this.#loaded || this.#loading) return;
    this.#loading = true;
    try {
      this.#show(await get(this.#path()));
      this.#loaded = now;
      this.trouble.hidden = true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.trouble.hidden = false;
      this.trouble.textContent = `The settings cannot be read: ${error.detail}`; // the next status tries again
    } finally {
      this.#loading = false;
    }
  }

  #show({ changed, saved, saved_at }) {
    this.#saved = saved;
    this.summary.textContent = `${changed ? "Settings differ from the camera's configuration." : "All is as the camera's configuration says."}${saved.length ? "" : " None are saved under a name."}`;
    this.table.hidden = saved.length === 0;
    const focused = document.activeElement?.dataset?.action && this.rows.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    this.rows.replaceChildren(...saved.map((name) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, formatTime(saved_at[name])),
      el("td", {}, el("div", { class: "row" }, this.#button("Load", name, () => this.#act("load", name, `${name} is loaded.`)),
        this.#button("Delete", name, () => this.#forget(name)))))));
    if (focused) [...this.rows.querySelectorAll("button")].find((button) => button.dataset.action === focused)?.focus();
    if (this.what) this.#offer(saved);
    this.#compare();
  }

  #offer(saved) {
    const before = this.what.selectedOptions[0]?.textContent;
    const options = [["", "the present settings"], ...saved.map((name, index) => [String(index), name])];
    this.what.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
    const again = options.find(([, text]) => text === before);
    if (again) [this.what.value] = again;
  }

  #button(text, name, press) {
    return el("button", { type: "button", class: "second", "aria-label": `${text} ${name}`, dataset: { action: `${text} ${name}` }, on: { click: press } }, text);
  }

  async #forget(name) {
    if (await confirmed(`Forget the settings ${name}?`, { agree: "Forget" })) await this.#act("delete", name, `${name} is forgotten.`);
  }

  /** Only cameras of this model can take its settings over. */
  #compare() {
    const modelOf = (name) => statuses.of("camera", name)?.status?.model ?? null;
    const mine = modelOf(this.camera);
    for (const [index, option] of [...(this.to?.options ?? [])].entries()) {
      const theirs = modelOf(option.value);
      option.disabled = mine !== null && theirs !== null && mine !== theirs;
      const text = option.disabled ? `${this.others[index].label} (another model)` : this.others[index].label;
      if (option.textContent !== text) option.textContent = text;
    }
  }
}
