/* The last shot of a camera, whoever took it: its picture, its files, its metadata. */

import { ROOT, Problem, get } from "../kit/api.js";
import { el, formatBytes, formatTime } from "../kit/dom.js";
import { statuses } from "../kit/status.js";
import { readable } from "./live-format.js";

const TELLING = new Set(["photo_taken", "recording_stopped", "recording_recovered", "sequence_ended", "test_photo_taken"]);
const SHOWN_FIRST = ["ExposureTime", "AnalogueGain", "DigitalGain", "ColourTemperature", "LensPosition", "SensorTemperature", "Lux", "ScalerCrop"];
const PICTURE = /\.(jpe?g|png|bmp)$/i;

export class LastShot {
  #camera;
  #label;
  #content = el("div", { class: "live-last" }, el("p", { class: "quiet-text" }, "Not known yet."));
  #reading = false;
  #wanted = false;
  #cameraRun = null;
  #known = null; // [shot, metadata]
  #shown = null;

  constructor(camera, label) {
    this.#camera = camera;
    this.#label = label;
    this.element = el("section", { "aria-label": `Last shot of ${label}` }, el("h3", {}, "Last shot"), this.#content);
    camera.on("status", () => this.#hear());
    camera.on("facts", () => this.#known && this.#show(...this.#known)); // now with units
    statuses.addEventListener("happening", ({ detail }) => {
      if (detail.source === `camera/${camera.name}` && TELLING.has(detail.name)) this.refresh();
    });
    statuses.addEventListener("regained", () => this.refresh());
    statuses.addEventListener("lost", () => this.refresh());
  }

  /** Read what is the last shot now. One reading at a time: after a while away many events come at once. */
  async refresh() {
    this.#wanted = true;
    if (this.#reading) return;
    this.#reading = true;
    try {
      while (this.#wanted) {
        this.#wanted = false;
        await this.#read();
      }
    } finally {
      this.#reading = false;
    }
  }

  async #read() {
    try {
      const { shots } = await get(`${this.#camera.path("files")}?limit=1`);
      const [shot] = shots;
      const metadata = shot?.metadata ? await get(this.#camera.path("files", shot.metadata)) : null;
      this.#known = [shot ?? null, metadata];
      this.#show(...this.#known);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#cameraRun = null; // once more with the next status
    }
  }

  /** A daemon that is back may have other files. */
  #hear() {
    const { fresh, status } = this.#camera;
    if (!fresh || !status || status.boot_id === this.#cameraRun) return;
    this.#cameraRun = status.boot_id;
    this.refresh();
  }

  /** Nothing is drawn anew that looks the same: somebody may be about to follow a link. */
  #show(shot, metadata) {
    const rows = this.#rows(metadata);
    const shown = JSON.stringify([shot, rows]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    if (shot === null) {
      this.#content.replaceChildren(el("p", { class: "quiet-text" }, "Nothing has been taken yet."));
      return;
    }
    const address = (name) => ROOT + this.#camera.path("files", name);
    const picture = shot.files.find((file) => PICTURE.test(file.name));
    const seen = shot.thumbnail ?? picture?.name;
    const image = seen ? el("img", { src: address(seen), alt: `Last shot of ${this.#label}`, class: "live-thumbnail" }) : null;
    const where = { camera: this.#camera.name, day: shot.day, shot: shot.stem };
    const linked = (content, more = {}) => // on a page of ours: alone in the browser it would have colours of its own
      el("a", { href: `/files?${new URLSearchParams({ ...where, ...more })}`, target: "_blank", rel: "noopener" }, content);
    const files = shot.files.map((file) => el("li", {}, el("a", { href: `${address(file.name)}?save=1` }, file.name), ` ${formatBytes(file.size)}`));
    const lines = [["Written", formatTime(shot.date)], ...rows];
    const list = el("dl", {}, lines.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]));
    const all = shot.metadata ? linked("All metadata", { metadata: "shown" }) : null;
    this.#content.replaceChildren(...[image ? linked(image) : null, el("div", {}, el("ul", { class: "live-list" }, files), list, all)].filter(Boolean));
    this.element.dataset.shot = shot.stem;
  }

  #rows(metadata) {
    const texts = new Map(readable(metadata ?? {}, this.#camera.controls));
    return SHOWN_FIRST.filter((name) => texts.has(name)).map((name) => [name, texts.get(name)]);
  }
}
