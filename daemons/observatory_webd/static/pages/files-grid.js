/* The shots of a day as tiles, and which of them are selected. */

import { el, formatBytes } from "../kit/dom.js";
import { clockOf, fileUrl, kindsOf, previewOf } from "./files-shots.js";
import { Thumbnails } from "./files-thumbs.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** `onOpen(shot)`, `onSelect()` after each change of what is selected, `onDelete()`, `onAll()`: keys that ask for these. */
export class Grid {
  #list = el("ul", { class: "shots", "aria-label": "Shots" });
  #tiles = new Map(); // stem -> { item, pick, shot, camera }
  #thumbnails = new Thumbnails();
  #selected = new Set();
  #anchor = null; // where a range begins
  #camera = null;
  #on;

  constructor(on) {
    this.#on = on;
    this.#list.addEventListener("keydown", (event) => this.#key(event));
  }

  get element() {
    return this.#list;
  }

  /** What is shown, in its order. */
  shots = [];

  /** The shots that are selected, in their order. */
  get selected() {
    return this.shots.filter((shot) => this.#selected.has(shot.stem));
  }

  isSelected(stem) {
    return this.#selected.has(stem);
  }

  /** These are the shots of a camera, and so many of them are seen; tiles that are there already stay as they are. */
  show(camera, shots, seen) {
    if (camera !== this.#camera) this.#forget();
    this.#camera = camera;
    this.shots = shots;
    const tiled = shots.slice(0, seen);
    const stems = new Set(tiled.map((shot) => shot.stem));
    for (const [stem, tile] of this.#tiles) {
      if (stems.has(stem)) continue;
      this.#thumbnails.remove(tile.image);
      tile.item.remove();
      this.#tiles.delete(stem);
    }
    const present = new Set(shots.map((shot) => shot.stem));
    const gone = [...this.#selected].filter((stem) => !present.has(stem));
    for (const stem of gone) this.#selected.delete(stem);
    let place = this.#list.firstElementChild;
    for (const shot of tiled) {
      const tile = this.#tiles.get(shot.stem) ?? this.#made(shot);
      this.#fill(tile, shot);
      if (tile.item === place) place = place.nextElementSibling;
      else this.#list.insertBefore(tile.item, place);
    }
    if (gone.length > 0) this.#on.select();
  }

  /** Select one more, or one less. */
  select(stem, chosen) {
    if (chosen) this.#selected.add(stem);
    else this.#selected.delete(stem);
    const tile = this.#tiles.get(stem);
    if (tile) mark(tile, chosen);
    this.#on.select();
  }

  selectAll() {
    for (const shot of this.shots) this.#selected.add(shot.stem);
    for (const tile of this.#tiles.values()) mark(tile, true);
    this.#on.select();
  }

  selectNone() {
    this.#selected.clear();
    for (const tile of this.#tiles.values()) mark(tile, false);
    this.#on.select();
  }

  /** Put the keyboard on a shot. */
  focus(stem) {
    this.#tiles.get(stem)?.open.focus();
  }

  #forget() {
    for (const tile of this.#tiles.values()) this.#thumbnails.remove(tile.image);
    this.#tiles.clear();
    this.#selected.clear();
    this.#list.replaceChildren();
  }

  #made(shot) {
    const { stem } = shot;
    const image = el("img", { alt: "" });
    const kind = el("span", { class: "kind" });
    const open = el("button", { type: "button", class: "open" }, kind, image);
    const pick = el("input", { type: "checkbox", "aria-label": `Select ${stem}` });
    const name = el("label", { class: "name", title: stem }, pick, el("span", {}, stem));
    const facts = el("span", { class: "hint" });
    const item = el("li", { dataset: { stem } }, open, name, facts);
    const tile = { item, open, image, kind, pick, facts, shot };
    open.addEventListener("click", () => this.#on.open(tile.shot));
    pick.addEventListener("click", (event) => this.#pick(stem, pick.checked, event.shiftKey));
    this.#tiles.set(stem, tile);
    return tile;
  }

  #fill(tile, shot) {
    tile.shot = shot;
    const text = `${clockOf(shot)} · ${formatBytes(shot.bytes)} · ${kindsOf(shot)}`;
    if (tile.facts.textContent !== text) {
      tile.facts.textContent = text;
      tile.kind.textContent = kindsOf(shot);
      tile.open.setAttribute("aria-label", `View ${shot.stem}, ${text}`);
    }
    const preview = previewOf(shot);
    tile.image.hidden = preview === null;
    if (preview !== null) this.#thumbnails.add(tile.image, fileUrl(this.#camera, preview));
    mark(tile, this.#selected.has(shot.stem));
  }

  #pick(stem, chosen, range) {
    const stems = this.shots.map((shot) => shot.stem);
    const from = range && this.#anchor !== null ? stems.indexOf(this.#anchor) : -1;
    const to = stems.indexOf(stem);
    if (from >= 0) {
      for (const one of stems.slice(Math.min(from, to), Math.max(from, to) + 1)) this.select(one, chosen);
    } else {
      this.select(stem, chosen);
    }
    this.#anchor = stem;
  }

  #key(event) {
    const tile = event.target.closest("li");
    if (event.key in ARROWS) {
      const next = this.#beside(tile, ...ARROWS[event.key]);
      if (!next) return;
      event.preventDefault();
      next.querySelector(event.target.matches("input") ? "input" : "button").focus();
    } else if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.#on.all();
    } else if (event.key === "Escape") {
      this.selectNone();
    } else if (event.key === "Delete" && this.#selected.size > 0) {
      event.preventDefault();
      this.#on.remove();
    }
  }

  #beside(tile, across, down) {
    const items = [...this.#list.children];
    const columns = items.filter((item) => item.offsetTop === items[0].offsetTop).length;
    return items[items.indexOf(tile) + across + down * columns] ?? null;
  }
}

function mark(tile, chosen) {
  tile.pick.checked = chosen;
  tile.item.classList.toggle("chosen", chosen);
}
