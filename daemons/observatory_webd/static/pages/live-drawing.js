/* Drawing on the picture with a mouse, a pen or one finger. What it is for is chosen by `tool`: null lets the page scroll. */

import { el } from "../kit/dom.js";
import { between, betweenInShape, isMeant, placeOf } from "./live-geometry.js";

/** Events: "drawn" (detail: {tool, rectangle}), "dragging" and "dragged" (detail: [dx, dy], fractions of the picture). */
export class Drawing extends EventTarget {
  #layer;
  #rubber = el("div", { class: "live-rubber", hidden: true });
  #tool = null;
  #start = null;
  #now = null;

  constructor(layer) {
    super();
    this.#layer = layer;
    layer.append(this.#rubber);
    layer.addEventListener("pointerdown", (event) => this.#begin(event));
    layer.addEventListener("pointermove", (event) => this.#go(event));
    layer.addEventListener("pointerup", (event) => this.#end(event));
    layer.addEventListener("pointercancel", () => this.cancel());
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.#start === null) return;
      event.preventDefault();
      this.cancel();
    });
  }

  get tool() {
    return this.#tool;
  }

  /** "zoom" (rectangles of the picture's shape), "windows" (any rectangles), "pan" or null (nothing). */
  set tool(tool) {
    this.cancel();
    this.#tool = tool;
    this.#layer.dataset.tool = tool ?? "";
  }

  /** Forget what is being drawn. */
  cancel() {
    if (this.#start === null) return;
    this.#start = null;
    this.#rubber.hidden = true;
    if (this.#tool === "pan") this.#tell("dragging", [0, 0]);
  }

  #begin(event) {
    if (!event.isPrimary) {
      this.cancel(); // a second finger: that is no drawing
    } else if (this.#tool !== null && event.button === 0) {
      event.preventDefault();
      this.#layer.setPointerCapture(event.pointerId);
      this.#start = this.#now = placeOf(event, this.#layer);
    }
  }

  #go(event) {
    if (this.#start === null || !event.isPrimary) return;
    this.#now = placeOf(event, this.#layer);
    if (this.#tool === "pan") {
      this.#tell("dragging", this.#dragged());
    } else {
      this.#rubber.hidden = false;
      lay(this.#rubber, this.#rectangle());
    }
  }

  #end(event) {
    if (this.#start === null || !event.isPrimary) return;
    this.#go(event);
    const [tool, rectangle, dragged] = [this.#tool, this.#rectangle(), this.#dragged()];
    this.#start = null;
    this.#rubber.hidden = true;
    if (tool === "pan") this.#tell("dragged", dragged);
    else if (isMeant(rectangle)) this.#tell("drawn", { tool, rectangle });
  }

  #rectangle() {
    return (this.#tool === "zoom" ? betweenInShape : between)(this.#start, this.#now);
  }

  #dragged() {
    return [this.#now[0] - this.#start[0], this.#now[1] - this.#start[1]];
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** Put an element where a rectangle of the picture is. */
export function lay(element, { x, y, width, height }) {
  const percent = (value) => `${100 * value}%`;
  Object.assign(element.style, { left: percent(x), top: percent(y), width: percent(width), height: percent(height) });
}
