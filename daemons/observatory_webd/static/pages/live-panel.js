/* All of one camera: its picture, what is taken, what it is set to. */

import { attempt, el, freshId, may } from "../kit/dom.js";
import { statuses } from "../kit/status.js";
import { closedText } from "./camera-state.js";
import { Camera } from "./live-camera.js";
import { controlsPanel } from "./live-controls.js";
import { Drawing } from "./live-drawing.js";
import { Windows, autofocusButton } from "./live-focus.js";
import { histogramPanel, metadataPanel } from "./live-frame.js";
import { LastShot } from "./live-last.js";
import { Picture } from "./live-picture.js";
import { setsPanel } from "./live-sets.js";
import { progressPanel, takePanel } from "./live-shots.js";
import { Zoom } from "./live-zoom.js";

const ROOMY = matchMedia("(min-width: 60rem)");

/** The panel of a camera; `enlarge` is called when it is to be the large one, or no more. */
export function cameraPanel({ name, label }, enlarge) {
  const camera = new Camera(name);
  const picture = new Picture(camera, label);
  const zoom = new Zoom(camera, picture);
  const windows = new Windows(camera, zoom, picture.layer);
  const last = new LastShot(camera, label);
  const take = takePanel(camera, label, () => last.refresh());
  const view = el("div", { class: "live-view" }, picture.element, tools(camera, picture, zoom, windows));

  const heading = el("h2", { id: freshId("camera") }, label);
  const hide = toggle("Hide", (pressed) => {
    view.hidden = pressed;
  });
  hide.setAttribute("aria-label", "Hide picture");
  const large = toggle("Large", (pressed) => enlarge(pressed));
  large.classList.add("live-enlarge");
  const buttons = el("div", { class: "row live-buttons" }, hide, large, fullScreen(view));
  const main = el(
    "div",
    { class: "live-main" },
    view,
    el("div", { class: "live-take" }, take?.buttons, autofocusButton(camera)),
    progressPanel(camera, label),
    take?.options,
    last.element,
  );
  const focus = section("Autofocus windows", windows.element);
  focus.classList.add("live-focus");
  camera.on("facts", () => {
    focus.hidden = !windows.possible;
  });
  // What comes late and is long is last, so that nothing moves that somebody is about to press.
  const side = el(
    "div",
    { class: "live-side" },
    section("Histogram", histogramPanel(camera, label)),
    section("Metadata of the latest frame", metadataPanel(camera, label)),
    section("Saved settings", setsPanel(name)),
    section("Controls", controlsPanel(name, { label }), ROOMY.matches),
    focus,
  );
  const head = el("div", { class: "live-head" }, heading, buttons, picture.states);
  const away = el("p", { class: "away", role: "status", hidden: true });
  const body = el("div", { class: "live-body" }, main, side);
  view.addEventListener("fullscreenchange", () => {
    if (document.fullscreenElement === view) view.prepend(picture.states, away); // nothing else is seen, and it may be old
    else {
      head.append(picture.states);
      body.before(away);
    }
  });
  const element = el(
    "section",
    { class: "panel live-panel", "aria-labelledby": heading.id, dataset: { camera: name } },
    head,
    away,
    body,
  );
  statuses.guard(element, "camera", name, closedText);
  return { element, showLarge: (pressed) => large.setAttribute("aria-pressed", pressed) };
}

function section(title, content, open = false) {
  return el("details", { class: "live-section", open }, el("summary", {}, title), content);
}

function toggle(text, changed) {
  const button = el("button", { type: "button", class: "second live-small", "aria-pressed": "false" }, text);
  button.addEventListener("click", () => {
    const pressed = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", pressed);
    changed(pressed);
  });
  return button;
}

function fullScreen(view) {
  const button = el("button", { type: "button", class: "second live-small", hidden: !document.fullscreenEnabled }, "Full screen");
  const leave = el("button", { type: "button", class: "second live-small live-leave" }, "Leave full screen");
  button.addEventListener("click", () => attempt(view.requestFullscreen()));
  leave.addEventListener("click", () => attempt(document.exitFullscreen()));
  view.append(leave);
  return button;
}

/** Below the picture: what drawing on it does, and the buttons for who cannot draw. */
function tools(camera, picture, zoom, windows) {
  const element = el("div", { class: "live-tools" }, zoom.element);
  if (!may("operator")) return element;
  const drawing = new Drawing(picture.layer);
  const group = freshId("tool");
  let chosen = null;
  const use = () => {
    const tool = camera.usable ? chosen : null;
    if (drawing.tool !== tool) drawing.tool = tool; // what is being drawn is forgotten
  };
  const kinds = [
    ["", "Look"],
    ["zoom", "Zoom"],
    ["pan", "Pan"],
    ["windows", "AF windows"],
  ];
  const choices = kinds.map(([kind, text]) => {
    const input = el("input", { type: "radio", name: group, value: kind, checked: kind === "" });
    input.addEventListener("change", () => {
      chosen = kind || null;
      use();
    });
    return el("label", { class: "live-choice", dataset: { kind } }, input, ` ${text}`);
  });
  drawing.addEventListener("drawn", ({ detail: { tool, rectangle } }) => (tool === "zoom" ? zoom : windows)[tool === "zoom" ? "into" : "add"](rectangle));
  drawing.addEventListener("dragging", ({ detail: [dx, dy] }) => picture.shift(dx, dy));
  drawing.addEventListener("dragged", ({ detail: [dx, dy] }) => zoom.move(-dx, -dy));
  const fieldset = el("fieldset", { class: "needs-fresh row" }, el("legend", { "aria-label": "Draw on the picture" }, "Draw"), choices);
  element.prepend(fieldset);
  picture.element.tabIndex = 0;
  picture.element.setAttribute("role", "group");
  picture.element.setAttribute("aria-label", "Picture; arrows pan, + and - zoom, 0 shows all of it");
  const offer = () => {
    const known = camera.controls !== null;
    fieldset.classList.toggle("live-reserved", !known);
    fieldset.hidden = known && !zoom.possible && !windows.possible;
    for (const choice of choices) {
      const { kind } = choice.dataset;
      choice.hidden = known && ((kind === "windows" && !windows.possible) || (["zoom", "pan"].includes(kind) && !zoom.possible));
    }
  };
  camera.on("facts", offer);
  camera.on("status", use);
  return element;
}
