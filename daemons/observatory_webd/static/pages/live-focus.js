/* The lens's own autofocus: a cycle of it, and the windows in which it looks, drawn on the picture or given as numbers. */

import { Problem, post } from "../kit/api.js";
import { attempt, el, field, may } from "../kit/dom.js";
import { finished } from "../kit/jobs.js";
import { lay } from "./live-drawing.js";
import { formatValue } from "./live-format.js";
import { onPicture, onSensor } from "./live-geometry.js";

/** A button that has the lens find its focus, and what came of it; null for who may not. */
export function autofocusButton(camera) {
  if (!may("operator")) return null;
  const outcome = el("span", { class: "quiet-text", role: "status" });
  let job = null;
  const stop = el("button", { type: "button", class: "second", hidden: true }, "Stop focusing");
  const run = async () => {
    button.disabled = true;
    outcome.textContent = "focusing…";
    try {
      job = await post(camera.path("autofocus"));
      stop.hidden = false;
      const { state, result } = await finished("camera", camera.name, job);
      const place = formatValue("LensPosition", result?.LensPosition, camera.controls);
      outcome.textContent = state === "stopped" ? "stopped" : `sharp at ${place}`;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      outcome.textContent = `not focused: ${error.detail}`;
    } finally {
      button.disabled = false;
      stop.hidden = true;
    }
  };
  const button = el("button", { type: "button", class: "second", on: { click: run } }, "Autofocus");
  stop.addEventListener("click", () => attempt(post(camera.path("jobs", job.id, "cancel"))));
  const row = el("div", { class: "row", hidden: true }, el("fieldset", { class: "needs-fresh" }, button), stop, outcome);
  camera.on("facts", () => {
    row.hidden = !camera.can("autofocus");
  });
  return row;
}

/** The windows of a camera: `element` lists them, `layer` shows them on the picture. */
export class Windows {
  #camera;
  #zoom;
  #layer = el("div", { class: "live-windows" });
  #list = el("ul", { class: "live-list" });
  #none = el("p", { class: "quiet-text" });

  constructor(camera, zoom, layer) {
    this.#camera = camera;
    this.#zoom = zoom;
    layer.prepend(this.#layer);
    this.element = el("div", {}, this.#none, this.#list, may("operator") ? this.#form() : null);
    camera.on("facts", () => this.#update());
    zoom.addEventListener("crop", () => this.#place());
  }

  get possible() {
    const { controls } = this.#camera;
    return Boolean(controls?.AfWindows && controls.AfMetering && "Windows" in controls.AfMetering.values);
  }

  /** The windows that hold, [x, y, width, height] on the sensor each. */
  get present() {
    if (!this.possible) return [];
    const { AfMetering, AfWindows } = this.#camera.controls;
    return AfMetering.value === AfMetering.values.Windows ? (AfWindows.value ?? []) : [];
  }

  /** Have autofocus look in a rectangle of the picture too. */
  add(rectangle) {
    const { minimum, maximum } = this.#camera.controls.AfWindows;
    const bounded = (value) => Math.min(Math.max(value, minimum ?? 0), maximum ?? Infinity);
    if (this.#zoom.crop) this.#set([...this.present, onSensor(rectangle, this.#zoom.crop).map(bounded)]);
  }

  async #set(windows) {
    const values = windows.length ? { AfMetering: "Windows", AfWindows: windows } : { AfMetering: "Auto" };
    await attempt(post(this.#camera.path("controls"), { values })); // the next status tells that settings have changed
  }

  #update() {
    this.#none.textContent = this.present.length ? "Autofocus looks in:" : "Autofocus looks where the camera chooses.";
    const shown = JSON.stringify(this.present);
    if (this.#list.dataset.shown === shown) return;
    this.#list.dataset.shown = shown;
    this.#list.replaceChildren(...this.present.map((window, index) => this.#item(window, index)));
    this.#layer.replaceChildren(...this.present.map((_, index) => el("div", { class: "live-window" }, String(index + 1))));
    this.#place();
  }

  #place() {
    const { crop } = this.#zoom;
    this.#layer.hidden = crop === null;
    if (crop === null) return;
    for (const [index, window] of this.present.entries()) lay(this.#layer.children[index], onPicture(window, crop));
  }

  #item([x, y, width, height], index) {
    const remove = el("button", { type: "button", class: "second live-small", "aria-label": `Remove window ${index + 1}` }, "Remove");
    remove.addEventListener("click", () => this.#set(this.present.filter((_, other) => other !== index)));
    const controls = may("operator") ? el("fieldset", { class: "needs-fresh" }, remove) : null;
    return el("li", {}, `${index + 1}: ${width}×${height} at ${x}, ${y}`, controls);
  }

  /** For who cannot draw. */
  #form() {
    const percent = (value) => el("input", { type: "number", min: 0, max: 100, step: "any", value, required: true });
    const inputs = [percent(40), percent(40), percent(20), percent(20)];
    const names = ["From the left", "From the top", "Width", "Height"];
    const fields = inputs.map((input, index) => field(names[index], input, { unit: "%" }));
    const buttons = el(
      "div",
      { class: "row" },
      el("button", { type: "submit", class: "second" }, "Add window"),
      el("button", { type: "button", class: "second", on: { click: () => this.#set([]) } }, "No windows"),
    );
    const submit = (event) => {
      event.preventDefault();
      const [x, y, width, height] = inputs.map((input) => Number(input.value) / 100);
      this.add({ x, y, width: Math.min(width, 1 - x), height: Math.min(height, 1 - y) });
    };
    const parts = el("fieldset", { class: "needs-fresh" }, el("div", { class: "live-four" }, fields), buttons);
    return el("form", { on: { submit } }, el("p", { class: "hint" }, "Of what is seen now:"), parts);
  }
}
