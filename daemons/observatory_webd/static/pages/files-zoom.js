/* Pictures that are zoomed and panned, one or several jointly: wheel, drag, pinch, double click, keys. */

const LARGEST = 8; // screen pixels for each of the picture
const STEP = 1.25;
const SWIPE_PX = 60;

/** `onChange(percent)`: the zoom of the first picture; `onSwipe(+1 or -1)`: on a picture that is not zoomed. */
export class Zoom {
  #panes = [];
  #zoom = 1; // 1: all of it is seen
  #x = 0.5; // what is in the middle, from 0 to 1
  #y = 0.5;
  #onChange;
  #onSwipe;
  #resizes = new ResizeObserver(() => this.#apply());

  constructor({ onChange = () => {}, onSwipe = () => {} } = {}) {
    this.#onChange = onChange;
    this.#onSwipe = onSwipe;
  }

  /** Have `img` fill `pane` (a positioned element that hides what overflows). */
  add(pane, img) {
    this.#panes.push({ pane, img, fingers: new Map(), start: null });
    const here = this.#panes.at(-1);
    img.draggable = false;
    img.addEventListener("load", () => this.#apply());
    pane.addEventListener("wheel", (event) => this.#wheel(here, event), { passive: false });
    pane.addEventListener("dblclick", (event) => this.#toggle(here, event));
    pane.addEventListener("pointerdown", (event) => this.#down(here, event));
    pane.addEventListener("pointermove", (event) => this.#move(here, event));
    for (const name of ["pointerup", "pointercancel"]) pane.addEventListener(name, (event) => this.#up(here, event));
    this.#resizes.observe(pane);
  }

  /** All of the picture. */
  fit() {
    this.#zoom = 1;
    this.#x = this.#y = 0.5;
    this.#apply();
  }

  /** A pixel of the screen for each of the picture. */
  whole() {
    const first = this.#panes.find(isLoaded);
    if (first) this.#set(1 / fitOf(first));
  }

  larger() {
    this.#set(this.#zoom * STEP);
  }

  smaller() {
    this.#set(this.#zoom / STEP);
  }

  /** Whether less than all of it is seen. */
  get isZoomed() {
    return this.#zoom > 1;
  }

  close() {
    this.#resizes.disconnect();
    this.#panes = [];
  }

  #set(zoom, here = null, at = null) {
    const first = here ?? this.#panes.find(isLoaded);
    if (!first || !isLoaded(first)) return;
    const before = fitOf(first) * this.#zoom;
    this.#zoom = Math.min(Math.max(zoom, 1), Math.max(1, LARGEST / fitOf(first)));
    const after = fitOf(first) * this.#zoom;
    if (at !== null) {
      // what is under the pointer stays there
      this.#x += (at.x * (1 / before - 1 / after)) / first.img.naturalWidth;
      this.#y += (at.y * (1 / before - 1 / after)) / first.img.naturalHeight;
    }
    this.#apply();
  }

  #pan(here, dx, dy) {
    if (!isLoaded(here)) return;
    const scale = fitOf(here) * this.#zoom;
    this.#x -= dx / scale / here.img.naturalWidth;
    this.#y -= dy / scale / here.img.naturalHeight;
    this.#apply();
  }

  #apply() {
    const first = this.#panes.find(isLoaded);
    if (!first) return;
    const scale = fitOf(first) * this.#zoom;
    this.#x = within(this.#x, first.pane.clientWidth / (first.img.naturalWidth * scale));
    this.#y = within(this.#y, first.pane.clientHeight / (first.img.naturalHeight * scale));
    for (const here of this.#panes.filter(isLoaded)) {
      const its = fitOf(here) * this.#zoom;
      const left = here.pane.clientWidth / 2 - this.#x * here.img.naturalWidth * its;
      const top = here.pane.clientHeight / 2 - this.#y * here.img.naturalHeight * its;
      here.img.style.transform = `translate(${left}px, ${top}px) scale(${its})`;
      here.img.classList.toggle("pixels", its >= 2);
    }
    this.#onChange(Math.round(scale * 100));
  }

  #wheel(here, event) {
    event.preventDefault();
    this.#set(this.#zoom * STEP ** -Math.sign(event.deltaY), here, fromMiddle(here, event));
  }

  #toggle(here, event) {
    if (this.isZoomed) this.fit();
    else if (isLoaded(here)) this.#set(Math.max(2, 1 / fitOf(here)), here, fromMiddle(here, event));
  }

  #down(here, event) {
    here.pane.setPointerCapture(event.pointerId);
    here.fingers.set(event.pointerId, event);
    here.start = here.fingers.size === 1 ? event : null;
  }

  #move(here, event) {
    const last = here.fingers.get(event.pointerId);
    if (!last) return;
    const others = [...here.fingers.values()].filter((finger) => finger.pointerId !== event.pointerId);
    here.fingers.set(event.pointerId, event);
    if (others.length === 1) {
      const ratio = distance(event, others[0]) / (distance(last, others[0]) || 1);
      const middle = { clientX: (event.clientX + others[0].clientX) / 2, clientY: (event.clientY + others[0].clientY) / 2 };
      this.#set(this.#zoom * ratio, here, fromMiddle(here, middle));
    }
    if (this.isZoomed) this.#pan(here, (event.clientX - last.clientX) / (others.length + 1), (event.clientY - last.clientY) / (others.length + 1));
  }

  #up(here, event) {
    here.fingers.delete(event.pointerId);
    const start = here.start;
    if (here.fingers.size > 0 || start === null) return;
    here.start = null;
    const dx = event.clientX - start.clientX;
    const dy = event.clientY - start.clientY;
    if (event.type === "pointerup" && !this.isZoomed && Math.abs(dx) > SWIPE_PX && Math.abs(dx) > 2 * Math.abs(dy)) this.#onSwipe(dx < 0 ? 1 : -1);
  }
}

function isLoaded({ img }) {
  return img.naturalWidth > 0;
}

function fitOf({ pane, img }) {
  return Math.min(pane.clientWidth / img.naturalWidth, pane.clientHeight / img.naturalHeight) || 1;
}

/** The middle so that no more than needed is outside; `share` of the picture is seen. */
function within(middle, share) {
  return share >= 1 ? 0.5 : Math.min(Math.max(middle, share / 2), 1 - share / 2);
}

function fromMiddle({ pane }, { clientX, clientY }) {
  const box = pane.getBoundingClientRect();
  return { x: clientX - box.left - box.width / 2, y: clientY - box.top - box.height / 2 };
}

function distance(a, b) {
  return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
}
