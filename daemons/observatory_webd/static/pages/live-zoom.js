/* Zoom and pan: the camera's crop, which everybody sees, changed by drawing, by buttons and by keys. */

import { post } from "../kit/api.js";
import { attempt, el, may, note } from "../kit/dom.js";
import { isWhole, moved, onSensor, scaled, zoomOf } from "./live-geometry.js";

const STEP = 1.5;
const PAN = 0.25; // of what is seen
const KEYS = {
  ArrowLeft: [-PAN, 0],
  ArrowRight: [PAN, 0],
  ArrowUp: [0, -PAN],
  ArrowDown: [0, PAN],
};

/** `element` has the buttons; `crop` is what the camera shows, null where that is not known. Event: "crop". */
export class Zoom extends EventTarget {
  #camera;
  #picture;
  #wanted = null; // {crop}, crop null for the whole; what is to be asked for next
  #aim = null; // the crop that the last request will have made
  #sending = false;
  #answeredAt = "";
  #factor = el("output", { class: "live-factor" });
  #buttons;

  constructor(camera, picture) {
    super();
    this.#camera = camera;
    this.#picture = picture;
    this.crop = null;
    this.#buttons = may("operator") ? this.#makeButtons() : null;
    this.element = el("div", { class: "row live-zoom" }, this.#buttons?.fieldset, this.#factor);
    camera.on("facts", () => this.#update());
    camera.on("status", () => this.#hear());
    if (this.#buttons) picture.element.addEventListener("keydown", (event) => this.#key(event));
  }

  get possible() {
    return this.#camera.whole !== null;
  }

  /** Zoom into a rectangle of the picture. */
  into(rectangle) {
    if (this.crop) this.#ask(onSensor(rectangle, this.crop));
  }

  /** Move what is seen by fractions of it. */
  move(dx, dy) {
    const from = this.#from();
    if (from && this.possible) this.#ask(moved(from, dx, dy, this.#camera.whole));
    else this.#picture.shift(0, 0);
  }

  #by(factor) {
    const from = this.#from();
    if (!from || !this.possible) return;
    const crop = scaled(from, factor, this.#camera.whole);
    this.#ask(isWhole(crop, this.#camera.whole) ? null : crop);
  }

  #from() {
    return this.#sending ? this.#aim : this.crop;
  }

  /** One request at a time; of those that come meanwhile the newest is next. */
  async #ask(crop) {
    this.#aim = crop ?? this.#camera.whole;
    this.#wanted = { crop };
    if (this.#sending) return;
    this.#sending = true;
    try {
      while (this.#wanted) {
        const body = this.#wanted.crop ? { crop: this.#wanted.crop } : {};
        this.#wanted = null;
        const answer = await attempt(post(this.#camera.path("crop"), body));
        if (answer) this.#became(answer);
      }
    } finally {
      this.#sending = false;
      this.#picture.shift(0, 0);
      this.#update();
    }
  }

  #became({ in_effect: made, complete, date }) {
    this.#answeredAt = date ?? this.#answeredAt;
    if (made?.ScalerCrop) this.#show(made.ScalerCrop);
    if (!complete) note(`${this.#camera.name} has not shown the new zoom yet`, "bad");
  }

  /** A status that is older than our own change knows nothing of it. */
  #hear() {
    const { status } = this.#camera;
    if (this.#sending || !status || status.date < this.#answeredAt) return;
    this.#show(status.ScalerCrop ?? null);
  }

  #show(crop) {
    const same = String(crop) === String(this.crop);
    this.crop = crop;
    if (!same) {
      this.#update();
      this.dispatchEvent(new Event("crop"));
    }
  }

  #update() {
    const { whole } = this.#camera;
    const known = whole !== null && this.crop !== null;
    this.element.hidden = this.#camera.controls !== null && whole === null;
    this.element.classList.toggle("live-reserved", this.#camera.controls === null);
    this.#factor.textContent = known ? `${zoomOf(this.crop, whole).toFixed(2)}×` : whole === null ? "" : "zoom unknown";
    this.#factor.title = known ? `[${this.crop.join(", ")}] of the sensor, in pixels` : "";
    if (!this.#buttons) return;
    const atWhole = known && isWhole(this.crop, whole) && !this.#sending;
    for (const button of this.#buttons.zoomed) button.disabled = !known || atWhole;
  }

  #makeButtons() {
    const button = (text, label, action) =>
      el("button", { type: "button", class: "second live-small", "aria-label": label, title: label, on: { click: action } }, text);
    const arrows = [
      ["←", "Pan left", "ArrowLeft"],
      ["→", "Pan right", "ArrowRight"],
      ["↑", "Pan up", "ArrowUp"],
      ["↓", "Pan down", "ArrowDown"],
    ].map(([text, label, key]) => button(text, label, () => this.move(...KEYS[key])));
    const less = button("−", "Zoom out", () => this.#by(1 / STEP));
    const more = button("+", "Zoom in", () => this.#by(STEP));
    const reset = button("1×", "See all of the picture", () => this.#ask(null));
    const fieldset = el("fieldset", { class: "needs-fresh row", "aria-label": "Zoom and pan" }, more, less, reset, arrows);
    return { fieldset, zoomed: [less, reset, ...arrows] };
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.#camera.usable || !this.possible) return;
    if (KEYS[event.key]) this.move(...KEYS[event.key]);
    else if (event.key === "+") this.#by(STEP);
    else if (event.key === "-") this.#by(1 / STEP);
    else if (event.key === "0") this.#ask(null);
    else return;
    event.preventDefault();
  }
}
