/* The form of one use case of a camera. What the camera takes is the camera's to say: its refusal stands at the field it names. */

import { Problem, pathOf, post } from "../kit/api.js";
import { el, field, freshId, may, note } from "../kit/dom.js";
import { Extras } from "./cameras-extras.js";

const WHAT = { live: "What is seen live", photo: "Photos", raw: "Raw frames", video: "Recordings" };
const FIELDS = ["stream", "size", "format", "mode", "buffer_count"];

export class UseCaseForm {
  #camera;
  #name;
  #capabilities;
  #told = null; // what the camera has said last
  #base = null; // what the form began with
  #form;
  #state = el("span", { class: "hint" });
  #stream = el("select");
  #format = el("select");
  #width = number();
  #height = number();
  #mode = el("select");
  #buffers = number();
  #extras;
  #errors = new Map(); // field -> its line
  #general = el("p", { class: "bad", role: "alert", hidden: true });
  #save = el("button", { type: "submit" }, "Save");
  #undo = el("button", { type: "button", class: "second", on: { click: () => this.#begin() } }, "Undo");
  #news = el("p", { class: "warn", role: "status", hidden: true });
  #onSaved;

  /** `onSaved(useCases)` sees what the camera answers. */
  constructor(camera, name, capabilities, controls, onSaved) {
    this.#camera = camera;
    this.#name = name;
    this.#capabilities = capabilities;
    this.#onSaved = onSaved;
    this.#extras = new Extras(controls, () => this.#mark());
    const [widest, highest] = capabilities.sensor_size;
    const streams = Object.keys(capabilities.streams).filter((stream) => (stream === "raw") === (name === "raw"));
    this.#stream.append(...streams.map(option));
    this.#mode.append(el("option", { value: "" }, "any"), ...capabilities.modes.map((mode, at) => el("option", { value: String(at) }, `${at}: ${mode.size.join(" × ")}, ${mode.bit_depth} bits`)));
    this.#stream.addEventListener("change", () => this.#offerFormats(this.#format.value));
    const title = el("h4", { id: freshId("use-case") }, name, " ", el("small", { class: "hint" }, WHAT[name] ?? ""));
    const size = el("div", { class: "row size" }, this.#width, "×", this.#height);
    this.#width.setAttribute("aria-label", "Width");
    this.#height.setAttribute("aria-label", "Height");
    const label = el("span", { id: freshId("size") }, "Size (pixels)");
    const group = el("div", { class: "field", role: "group", "aria-labelledby": label.id }, label, size, el("small", { class: "hint" }, `up to ${widest} × ${highest}, even numbers`), this.#error("size"));
    const controlsOf = el("details", {}, el("summary", {}, "Controls of its own"), this.#extras.element, this.#error("controls"));
    const fieldset = el(
      "fieldset",
      { class: may("operator") ? "needs-fresh" : null, disabled: !may("operator") },
      el("legend", { class: "unseen" }, `Use case ${name}`),
      el("div", { class: "fields" },
        el("div", {}, field("Stream", this.#stream), this.#error("stream")),
        el("div", {}, field("Format", this.#format), this.#error("format")),
        group,
        el("div", {}, field("Sensor mode", this.#mode), this.#error("mode")),
        el("div", {}, field("Buffers", this.#buffers), this.#error("buffer_count"))),
      controlsOf,
      this.#general,
      this.#news,
      may("operator") ? el("div", { class: "row" }, this.#save, this.#undo) : null,
    );
    this.#form = el("form", { class: "use-case", noValidate: true, "aria-labelledby": title.id, dataset: { case: name } }, el("div", { class: "row between" }, title, this.#state), fieldset);
    this.#form.addEventListener("input", () => this.#mark());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  get element() {
    return this.#form;
  }

  /** What the camera says now (null: it has no such use case); what the user is editing stays. */
  show(told, isChanged) {
    const edited = this.#base !== null && this.#isEdited();
    const moved = this.#base !== null && JSON.stringify(plain(told)) !== JSON.stringify(this.#base);
    this.#told = told;
    const state = told === null ? "not configured" : told.running ? "runs now" : "needs a reconfiguration";
    this.#state.textContent = isChanged ? `${state}, changed` : state;
    this.#news.hidden = !(edited && moved);
    const now = told === null ? "The camera has it no longer." : `It was changed elsewhere to ${told.size.join(" × ")} ${told.format}. Undo shows it;`;
    if (edited && moved) this.#news.textContent = `${now} Save puts yours in its place.`;
    else if (!edited) this.#begin();
  }

  #begin() {
    const case_ = this.#told ?? { stream: this.#stream.options[0]?.value, size: this.#capabilities.sensor_size, format: null, mode: null, buffer_count: 4, controls: {} };
    this.#base = this.#told === null ? {} : plain(this.#told);
    this.#stream.value = case_.stream;
    this.#offerFormats(case_.format);
    [this.#width.value, this.#height.value] = case_.size.map(String);
    this.#mode.value = case_.mode === null ? "" : String(case_.mode);
    this.#buffers.value = String(case_.buffer_count);
    this.#extras.set(case_.controls);
    this.#news.hidden = true;
    this.#clear();
    this.#mark();
  }

  #offerFormats(chosen) {
    const formats = this.#capabilities.streams[this.#stream.value] ?? [];
    this.#format.replaceChildren(...formats.map(option));
    if (formats.includes(chosen)) this.#format.value = chosen;
  }

  #values() {
    return {
      stream: this.#stream.value,
      size: [whole(this.#width), whole(this.#height)],
      format: this.#format.value,
      mode: this.#mode.value === "" ? null : Number(this.#mode.value),
      buffer_count: whole(this.#buffers),
      controls: this.#extras.get(),
    };
  }

  #changes(since) {
    return Object.fromEntries(Object.entries(this.#values()).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(since[key])));
  }

  #isEdited() {
    return Object.keys(this.#changes(this.#base)).length > 0;
  }

  #mark() {
    const edited = this.#isEdited();
    this.#save.disabled = this.#undo.disabled = !edited;
    this.#form.classList.toggle("edited", edited);
  }

  async #send() {
    const values = this.#changes(plain(this.#told)); // also what another has changed since: it shall be as this form says
    if (Object.keys(values).length === 0) {
      this.#begin(); // it is so already
      return;
    }
    this.#clear();
    this.#save.disabled = true;
    const sent = JSON.stringify(this.#values());
    try {
      const cases = await post(pathOf("camera", this.#camera, "use-cases", this.#name), { values });
      const [width, height] = cases[this.#name].size;
      this.#told = cases[this.#name];
      if (JSON.stringify(this.#values()) === sent) this.#begin();
      else this.#base = plain(this.#told); // what was typed meanwhile stays
      note(`${this.#name} of ${this.#camera} is ${width} × ${height} ${cases[this.#name].format} now.`);
      this.#onSaved(cases);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#refuse(error.detail);
    } finally {
      this.#mark();
    }
  }

  /** A refusal begins with the name of what is refused. */
  #refuse(detail) {
    const [first] = detail.split(/[\s:]/, 1);
    const isControl = this.#extras.inputOf(first) !== null;
    const line = this.#errors.get(isControl ? "controls" : FIELDS.includes(first) ? first : "") ?? this.#general;
    line.textContent = detail;
    line.hidden = false;
    const inputs = { stream: [this.#stream], size: [this.#width, this.#height], format: [this.#format], mode: [this.#mode], buffer_count: [this.#buffers] };
    const wrong = isControl ? [this.#extras.inputOf(first)] : (inputs[first] ?? []);
    for (const input of wrong) {
      input.setAttribute("aria-invalid", "true");
      input.setAttribute("aria-errormessage", line.id);
    }
    if (isControl || first === "controls") this.#form.querySelector("details").open = true;
    wrong[0]?.focus();
  }

  #clear() {
    for (const line of [this.#general, ...this.#errors.values()]) line.hidden = true;
    for (const input of this.#form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  }

  #error(name) {
    const line = el("p", { class: "bad error", role: "alert", hidden: true, id: freshId("error") });
    this.#errors.set(name, line);
    return line;
  }
}

function plain(told) {
  if (told === null) return {};
  const { stream, size, format, mode, buffer_count: buffers, controls } = told;
  return { stream, size, format, mode, buffer_count: buffers, controls };
}

function number() {
  return el("input", { type: "text", inputMode: "numeric", autocomplete: "off", size: 6 });
}

/** What was typed as a whole number; else the text, which the camera refuses by name. */
function whole(input) {
  const text = input.value.trim();
  return /^-?\d{1,9}$/.test(text) ? Number(text) : text;
}

function option(value) {
  return el("option", { value }, value);
}
