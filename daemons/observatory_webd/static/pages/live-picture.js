/* A camera's picture: the stream on a canvas, which runs only while it is seen, what its state is, and the layer on it for
 * what is drawn. */

import { el } from "../kit/dom.js";
import { LiveView } from "../kit/live.js";
import { watchSeen } from "./live-seen.js";

const LOOK_MS = 500;
const CODECS = { jpeg: "JPEG", h264: "H.264" };

/** `element` holds the picture, `layer` lies exactly on it, `states` tells what is seen. */
export class Picture {
  #camera;
  #view;
  #canvas;
  #state;
  #age;
  #numbers;
  #seen = false;
  #wasUsable = false;

  constructor(camera, label) {
    this.#camera = camera;
    this.#canvas = el("canvas", { class: "live-canvas", role: "img", "aria-label": `Live picture of ${label}` });
    this.layer = el("div", { class: "live-layer" });
    this.element = el("div", { class: "live-picture" }, this.#canvas, this.layer);
    this.#state = el("span", { class: "live-state", role: "status" });
    this.#age = el("span", { "aria-hidden": "true" });
    this.#numbers = el("span", { class: "quiet-text live-numbers" });
    const ratio = kept(camera.name);
    if (ratio !== null) this.element.style.setProperty("--ratio", ratio);
    this.states = el("p", { class: "live-states" }, this.#state, this.#age, this.#numbers);
    this.#view = new LiveView(this.#canvas, { camera: camera.name });
    this.#view.addEventListener("state", () => this.#tell());
    this.#view.addEventListener("frame", () => this.#shape());
    camera.on("status", () => {
      if (camera.usable && !this.#wasUsable) this.#view.retry(); // it is back: the next try is not waited for
      this.#wasUsable = camera.usable;
    });
    watchSeen(this.element, (seen) => {
      this.#seen = seen;
      if (seen) this.#view.start();
      else this.#view.stop();
      this.#tell();
    });
    setInterval(() => this.#seen && this.#tell(), LOOK_MS);
  }

  /** Shift what is seen by fractions of the picture, until the camera itself has moved. */
  shift(dx, dy) {
    this.#canvas.style.transform = dx || dy ? `translate(${100 * dx}%, ${100 * dy}%)` : "";
  }

  #shape() {
    const ratio = (this.#canvas.width / this.#canvas.height).toFixed(4);
    if (this.element.style.getPropertyValue("--ratio") !== ratio) {
      this.element.style.setProperty("--ratio", ratio);
      keep(this.#camera.name, ratio);
    }
    this.element.dataset.frames = this.#view.frames;
  }

  #tell() {
    const { state, reason, codec, ageSeconds, latencySeconds, framesPerSecond } = this.#view;
    setText(this.#state, state === "stopped" ? "paused" : state);
    this.#state.dataset.state = state;
    setText(this.#age, state === "stale" ? `for ${Math.round(ageSeconds)} s` : "");
    const waits = ["connecting", "stale"].includes(state);
    const latency = latencySeconds === null ? "unknown" : `${Math.max(0, Math.round(1000 * latencySeconds))} ms`;
    const numbers = state === "live" ? `${framesPerSecond} frames/s, delay ${latency}, ${CODECS[codec]}` : "";
    // why a daemon that is away sends nothing is said elsewhere
    setText(this.#numbers, waits && reason && this.#camera.fresh ? reason : numbers);
  }
}

/** The shape of a camera's last picture in this browser, so that the next one has its room before it comes. */
function kept(name) {
  try {
    return localStorage.getItem(`ratio ${name}`);
  } catch {
    return null; // a browser may keep nothing
  }
}

function keep(name, ratio) {
  try {
    localStorage.setItem(`ratio ${name}`, ratio);
  } catch {
    // then the page moves once
  }
}

/** A live region is only touched when it has news. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
