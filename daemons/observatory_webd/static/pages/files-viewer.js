/* One shot, large: a picture that can be zoomed, a video that plays, its files and its metadata; next and previous. */

import { el, formatBytes, may, showModal, shown } from "../kit/dom.js";
import { statuses } from "../kit/status.js";
import { clockOf, fileUrl, metadataTables, parsed, pictureOf, save, videoOf } from "./files-shots.js";
import { Zoom } from "./files-zoom.js";

/** `list()`: the shots, in their order; `more()`: load further ones; `grid`; `remove(shots)`: ask and delete, whether it was done. */
export class Viewer {
  #dialog;
  #stage = el("div", { class: "stage" });
  #title = el("h2", { "aria-live": "polite" });
  #facts = el("span", { class: "hint" });
  #gone = el("p", { class: "warn", role: "status", hidden: true });
  #files = el("div", { class: "row" });
  #metadata = el("div", { class: "metadata scroll", tabIndex: 0, role: "region", "aria-label": "Metadata", hidden: true });
  #percent = el("output", { class: "percent", "aria-label": "Zoom" });
  #zooming;
  #previous = el("button", { type: "button", class: "second", on: { click: () => this.#step(-1) } }, "Previous");
  #next = el("button", { type: "button", class: "second", on: { click: () => this.#step(1) } }, "Next");
  #toggle = el("button", { type: "button", class: "second", "aria-expanded": "false", on: { click: () => this.#showMetadata(this.#metadata.hidden) } }, "Metadata");
  #pick = el("input", { type: "checkbox", on: { change: () => this.#with.grid.select(this.#shot.stem, this.#pick.checked) } });
  #delete = may("operator") ? el("button", { type: "button", class: "danger", on: { click: () => this.#remove() } }, "Delete") : null;
  #zoom = null;
  #shot = null;
  #place = 0; // of the shot in the list, or where it was
  #failed = false; // it could not be shown
  #wasFresh = false;
  #camera = null;
  #with;

  constructor(collaborators) {
    this.#with = collaborators;
    const close = el("button", { type: "button", on: { click: () => this.#dialog.close() } }, "Close");
    const button = (text, act) => el("button", { type: "button", class: "second", on: { click: act } }, text);
    this.#zooming = el("div", { class: "row" }, button("Fit", () => this.#zoom?.fit()), button("100 %", () => this.#zoom?.whole()), this.#percent);
    this.#title.id = "viewer-title";
    this.#dialog = el(
      "dialog",
      { class: "large", "aria-labelledby": this.#title.id },
      el("div", { class: "row heading" }, el("div", {}, this.#title, this.#facts, this.#gone), close),
      el("div", { class: "looking" }, this.#stage, this.#metadata),
      el("div", { class: "row tools" }, this.#previous, this.#next, this.#zooming, this.#toggle, el("label", { class: "row" }, this.#pick, "Select"), this.#files, this.#delete),
    );
    this.#dialog.addEventListener("keydown", (event) => this.#key(event));
    this.#dialog.addEventListener("close", () => this.#closed());
    document.body.append(this.#dialog);
    for (const { name } of shown("camera")) statuses.watch("camera", name, (wire, fresh) => name === this.#camera && this.#attend(fresh));
  }

  /** Show a shot of a camera, perhaps with its metadata. */
  open(camera, shot, withMetadata = false) {
    this.#camera = camera;
    this.#wasFresh = statuses.isFresh("camera", camera);
    if (withMetadata) this.#showing(true);
    this.#show(shot);
    if (!this.#dialog.open) showModal(this.#dialog);
    this.#next.focus();
  }

  close() {
    if (this.#dialog.open) this.#dialog.close();
  }

  /** The list has changed: what follows is told anew. */
  update() {
    if (this.#shot !== null) this.#mark();
  }

  /** What could not be read while the daemon was away is read once it is back. */
  #attend(fresh) {
    const isBack = fresh && !this.#wasFresh;
    this.#wasFresh = fresh;
    if (this.#shot === null) return;
    if (isBack && this.#failed) this.#show(this.#shot);
    else if (isBack && !this.#metadata.hidden) this.#showMetadata(true);
    this.#mark();
  }

  #show(shot) {
    this.#clear();
    this.#shot = shot;
    this.#failed = false;
    this.#title.textContent = shot.stem;
    this.#facts.textContent = `${shot.day} ${clockOf(shot)} UTC · ${formatBytes(shot.bytes)}`;
    const picture = pictureOf(shot);
    const video = videoOf(shot);
    this.#zooming.hidden = video !== null || picture === null;
    if (video !== null) this.#video(video);
    else if (picture !== null) this.#picture(picture);
    else this.#stage.append(el("p", {}, "A browser cannot show this kind of file. It can be downloaded."));
    this.#files.replaceChildren(...this.#downloads(shot));
    this.#toggle.disabled = shot.metadata === null;
    this.#toggle.textContent = shot.metadata === null ? "No metadata" : "Metadata";
    if (shot.metadata === null) this.#showMetadata(false);
    else if (!this.#metadata.hidden) this.#showMetadata(true);
    this.#mark();
  }

  #video(file) {
    const stem = this.#shot.stem;
    const isRed = document.documentElement.dataset.theme === "red"; // alone on the screen it would not be
    const alone = isRed ? { controlsList: "nofullscreen", disablePictureInPicture: true } : {};
    const error = () => (this.#failed ||= this.#shot?.stem === stem);
    this.#stage.append(el("video", { ...alone, controls: true, preload: "metadata", playsInline: true, "aria-label": stem, on: { error }, src: fileUrl(this.#camera, file.name) }));
  }

  #picture(file) {
    const stage = this.#stage;
    const img = el("img", { alt: `Picture ${this.#shot.stem}`, src: fileUrl(this.#camera, file.name) });
    img.addEventListener("error", () => {
      stage.replaceChildren(el("p", { class: "bad", role: "alert" }, `${file.name} cannot be shown: it is no picture, or its camera is away.`));
      this.#failed ||= stage === this.#stage;
    });
    this.#stage.append(img);
    this.#zoom = new Zoom({ onChange: (percent) => (this.#percent.textContent = `${percent} %`), onSwipe: (step) => this.#step(step) });
    this.#zoom.add(this.#stage, img);
  }

  #downloads(shot) {
    const files = shot.files.map((file) => ({ name: file.name, text: `${file.name.slice(file.name.lastIndexOf(".") + 1).toUpperCase()}, ${formatBytes(file.size)}` }));
    if (shot.metadata !== null) files.push({ name: shot.metadata, text: "JSON" });
    const button = ({ name, text }) => el("button", { type: "button", class: "second", title: name, "aria-label": `Download ${name}`, on: { click: () => save(fileUrl(this.#camera, name, true)) } }, `↓ ${text}`);
    return files.map(button);
  }

  #mark() {
    const at = this.#at();
    const isGone = at < 0;
    if (!isGone) this.#place = at;
    const gone = this.#with.hasMore() ? "It is no longer among the shots that are listed." : "It has been deleted.";
    this.#gone.hidden = !isGone;
    if (isGone && this.#gone.textContent !== gone) this.#gone.textContent = gone;
    this.#previous.disabled = this.#neighbour(-1) < 0;
    this.#next.disabled = this.#neighbour(1) >= this.#with.list().length && !this.#with.hasMore();
    this.#pick.checked = this.#with.grid.isSelected(this.#shot.stem);
    this.#pick.disabled = isGone;
    if (this.#delete) this.#delete.disabled = isGone || !statuses.isFresh("camera", this.#camera);
  }

  /** Where the shot after (1) or before (-1) this one is; where this one was is the one after it now. */
  #neighbour(by) {
    if (this.#at() >= 0) return this.#place + by;
    const was = Math.min(this.#place, this.#with.list().length);
    return by > 0 ? was : was - 1;
  }

  #at() {
    return this.#with.list().findIndex((shot) => shot.stem === this.#shot.stem);
  }

  async #step(by) {
    const from = this.#shot;
    const at = this.#neighbour(by);
    if (at >= this.#with.list().length) await this.#with.more();
    const shot = this.#with.list()[at];
    if (shot && this.#shot === from) this.#show(shot);
  }

  #showing(metadata) {
    this.#metadata.hidden = !metadata;
    this.#toggle.setAttribute("aria-expanded", String(metadata));
  }

  async #showMetadata(wanted) {
    this.#showing(wanted);
    if (!wanted) return;
    const shot = this.#shot;
    this.#metadata.replaceChildren(el("p", {}, "Reading ..."));
    const found = await read(fileUrl(this.#camera, shot.metadata));
    if (this.#shot === shot) this.#metadata.replaceChildren(...found);
  }

  async #remove() {
    const at = this.#at();
    if (!(await this.#with.remove([this.#shot]))) return;
    const list = this.#with.list();
    const shot = list[Math.min(at, list.length - 1)];
    if (shot) this.#show(shot);
    else this.#dialog.close();
  }

  #key(event) {
    if (event.target.closest("video, input, .question")) return;
    const acts = {
      ArrowLeft: () => this.#step(-1),
      ArrowRight: () => this.#step(1),
      "+": () => this.#zoom?.larger(),
      "-": () => this.#zoom?.smaller(),
      0: () => this.#zoom?.fit(),
      1: () => this.#zoom?.whole(),
      m: () => this.#shot.metadata !== null && this.#showMetadata(this.#metadata.hidden),
    };
    if (!(event.key in acts) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    acts[event.key]();
  }

  #clear() {
    this.#zoom?.close();
    this.#zoom = null;
    this.#stage.querySelector("video")?.pause();
    const fresh = el("div", { class: "stage" }); // without the listeners of the last picture
    this.#stage.replaceWith(fresh);
    this.#stage = fresh;
    this.#percent.textContent = "";
  }

  #closed() {
    const { stem } = this.#shot;
    this.#clear();
    this.#shot = null;
    this.#with.grid.focus(stem);
  }
}

async function read(url) {
  try {
    const answer = await fetch(url);
    if (!answer.ok) return [el("p", { class: "bad" }, `The metadata cannot be read: the server answered ${answer.status}.`)];
    return metadataTables(parsed(await answer.text()));
  } catch (error) {
    return [el("p", { class: "bad" }, `The metadata cannot be read: ${error.message}`)];
  }
}
