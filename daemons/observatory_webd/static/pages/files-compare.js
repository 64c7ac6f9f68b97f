/* Pictures side by side, zoomed and panned jointly. */

import { el, showModal } from "../kit/dom.js";
import { clockOf, fileUrl, pictureOf } from "./files-shots.js";
import { Zoom } from "./files-zoom.js";

export const MOST_COMPARED = 6;

/** Show pictures of these shots of a camera beside each other, until the user closes it. */
export function compare(camera, shots) {
  const percent = el("output", { class: "percent", "aria-label": "Zoom" });
  const zoom = new Zoom({ onChange: (value) => (percent.textContent = `${value} %`) });
  const button = (text, act, kind = "second") => el("button", { type: "button", class: kind, on: { click: act } }, text);
  const panes = el("div", { class: "compared", dataset: { count: String(shots.length) } });
  const title = el("h2", { id: "compare-title" }, `${shots.length} pictures`);
  const close = button("Close", () => dialog.close(), "");
  const tools = el("div", { class: "row" }, button("Fit", () => zoom.fit()), button("100 %", () => zoom.whole()), button("−", () => zoom.smaller()), button("+", () => zoom.larger()), percent);
  const dialog = el("dialog", { class: "large", "aria-labelledby": title.id }, el("div", { class: "row heading" }, title, tools, close), panes);
  for (const shot of shots) {
    const img = el("img", { alt: `Picture ${shot.stem}`, src: fileUrl(camera, pictureOf(shot).name) });
    const stage = el("div", { class: "stage" }, img);
    const caption = el("figcaption", { class: "hint" }, `${shot.stem}, ${clockOf(shot)} UTC`);
    img.addEventListener("error", () => stage.replaceChildren(el("p", { class: "bad", role: "alert" }, "It cannot be shown.")));
    panes.append(el("figure", {}, stage, caption));
    zoom.add(stage, img);
  }
  dialog.addEventListener("keydown", (event) => {
    const acts = { "+": () => zoom.larger(), "-": () => zoom.smaller(), 0: () => zoom.fit(), 1: () => zoom.whole() };
    if (event.key in acts && !event.ctrlKey && !event.metaKey) acts[event.key]();
  });
  dialog.addEventListener("close", () => {
    zoom.close();
    dialog.remove();
  });
  document.body.append(dialog);
  showModal(dialog);
  close.focus();
}
