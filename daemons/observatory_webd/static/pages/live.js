/* The Live page: a panel for each camera that is chosen, in a grid, or one of them large. */

import { el, note, shown } from "../kit/dom.js";
import { cameraPanel } from "./live-panel.js";

const KEPT = "live"; // in this browser
const cameras = shown("camera");
const place = document.querySelector("#live");
const grid = el("div", { class: "live-grid" });
const panels = new Map(); // made when they are shown first

const choice = chosenAtFirst();

if (cameras.length === 0) {
  place.append(el("p", {}, "No camera is configured: name cameras in the configuration of webd."));
} else {
  if (cameras.length > 1) place.append(chooser());
  place.append(grid);
  arrange();
}

/** {shown: names, large: name or null}: what ?camera=NAME says, or what was chosen last in this browser, or all. */
function chosenAtFirst() {
  const known = (name) => cameras.some((camera) => camera.name === name);
  const asked = new URLSearchParams(location.search).get("camera");
  if (asked !== null && known(asked)) return { shown: [asked], large: asked };
  if (asked !== null) note(`There is no camera ${asked}`, "bad");
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT));
    const names = kept.shown.filter(known);
    if (names.length) return { shown: names, large: names.includes(kept.large) ? kept.large : null };
  } catch {
    // nothing is kept, or nothing that can be read
  }
  return { shown: cameras.map((camera) => camera.name), large: null };
}

function keep() {
  try {
    localStorage.setItem(KEPT, JSON.stringify(choice));
  } catch {
    // a browser may keep nothing; then it holds for this page
  }
}

function chooser() {
  const boxes = cameras.map(({ name, label }) => {
    const box = el("input", { type: "checkbox", checked: choice.shown.includes(name) });
    box.addEventListener("change", () => {
      choice.shown = cameras.map((camera) => camera.name).filter((other) => (other === name ? box.checked : choice.shown.includes(other)));
      if (!choice.shown.includes(choice.large)) choice.large = null;
      keep();
      arrange();
    });
    return el("label", {}, box, ` ${label}`);
  });
  return el("fieldset", { class: "row live-chooser" }, el("legend", { class: "quiet-text" }, "Cameras shown"), boxes);
}

function arrange() {
  for (const camera of cameras) {
    const { name } = camera;
    const wanted = choice.shown.includes(name);
    if (wanted && !panels.has(name)) {
      const panel = cameraPanel(camera, (pressed) => {
        choice.large = pressed ? name : null;
        keep();
        arrange();
      });
      panels.set(name, panel);
      grid.append(panel.element);
    }
    const panel = panels.get(name);
    if (!panel) continue;
    panel.element.hidden = !wanted;
    panel.element.classList.toggle("live-large", choice.large === name);
    panel.showLarge(choice.large === name);
  }
  grid.classList.toggle("live-single", choice.shown.length < 2);
}
