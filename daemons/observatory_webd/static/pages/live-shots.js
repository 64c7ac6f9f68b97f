/* Taking photos, raw frames and video; what is being taken, by whomever. */

import { post } from "../kit/api.js";
import { attempt, el, field, formatBytes, may, note } from "../kit/dom.js";
import { finished, postOnce } from "../kit/jobs.js";
import { statuses } from "../kit/status.js";
import { schemaOf } from "./live-camera.js";
import { formatDuration } from "./live-format.js";

const LOOK_MS = 500;
const LONG_S = 1; // an exposure whose progress is shown
const AS_WISHED = ["stopped", "duration reached"]; // ends of a recording

/** The buttons and the options; null for who may not. `taken` is called when a shot has been written. */
export function takePanel(camera, label, taken) {
  if (!may("operator")) return null;
  const button = (text, action, look = "") => el("button", { type: "button", class: look, on: { click: action } }, text);
  const underWay = el("span", { class: "quiet-text", role: "status" });
  let shots = 0;
  const shoot = (what, body) => postOnce(camera.path(what), body, { onAnswer: wait });
  const wait = async (job) => {
    shots += 1;
    tell();
    const done = await attempt(finished("camera", camera.name, job));
    shots -= 1;
    tell();
    if (done?.result) note(`${label}: ${done.result.names.join(", ")}`);
    taken(); // one of which nothing more is known may have been taken too
  };
  const tell = () => {
    underWay.textContent = shots ? `${shots === 1 ? "a shot" : `${shots} shots`} under way…` : "";
  };
  const options = makeOptions();
  const photo = button("Photo", () => shoot("photo", options.photo()));
  const raw = button("Raw", () => shoot("raw", options.raw()), "second");
  const record = button("Record", () => attempt(begin), "second");
  const begin = async () => {
    const body = options.video();
    if (body === null) return;
    record.disabled = true;
    try {
      await postOnce(camera.path("video", "start"), body);
    } finally {
      record.disabled = false;
    }
  };
  const stop = button("Stop recording", () => attempt(post(camera.path("video", "stop"))), "danger");
  camera.on("facts", () => {
    const known = camera.capabilities !== null;
    raw.classList.toggle("live-reserved", !known);
    raw.hidden = known && !camera.can("raw");
    options.withRaw.hidden = !camera.can("raw");
  });
  camera.on("status", () => {
    const recording = Boolean(camera.status?.recording);
    stop.hidden = !recording;
    record.hidden = recording;
  });
  const take = el("fieldset", { class: "needs-fresh row", "aria-label": `Take with ${label}` }, photo, raw, record);
  return { buttons: el("div", { class: "row" }, take, stop, underWay), options: options.element };
}

function makeOptions() {
  const select = (schema, property, chosen) => {
    const list = el("select", {}, el("option", { value: chosen }, chosen));
    fill(list, schema, property, chosen);
    return list;
  };
  const photo = select("Photo", "format", "jpg");
  const withRaw = el("select", {}, el("option", { value: "" }, "no"));
  fill(withRaw, "Photo", "raw", "");
  const raw = select("Raw", "format", "fits");
  const video = select("Video", "format", "mp4");
  const duration = el("input", { type: "number", step: "any", placeholder: "until stopped" });
  const hint = el("small", { class: "hint" }, "seconds; empty: until it is stopped");
  bound(duration, hint);
  const sound = el("input", { type: "checkbox" });
  const rawField = field("Raw beside the photo", withRaw);
  const durationField = field("Duration of a video", duration, { unit: "s" });
  durationField.append(hint);
  const fields = [field("Photo", photo), rawField, field("Raw frame", raw), field("Video", video), durationField, field("With sound", sound)];
  const element = el("details", { class: "live-options" }, el("summary", {}, "Formats and duration"), el("div", { class: "live-four" }, fields));
  return {
    element,
    withRaw: rawField,
    photo: () => ({ format: photo.value, ...(withRaw.value ? { raw: withRaw.value } : {}) }),
    raw: () => ({ format: raw.value }),
    video: () => {
      if (!duration.checkValidity()) element.open = true;
      if (!duration.reportValidity()) return null;
      return { format: video.value, audio: sound.checked, ...(duration.value ? { duration_s: Number(duration.value) } : {}) };
    },
  };
}

/** The choices that the API offers, once they are known. */
async function fill(list, schema, property, chosen) {
  const found = await attempt(schemaOf(schema));
  const described = found?.properties[property];
  const choices = (described?.enum ?? described?.anyOf?.find((one) => one.enum)?.enum ?? []).filter((choice) => choice !== chosen);
  list.append(...choices.map((choice) => el("option", { value: choice }, choice)));
}

async function bound(input, hint) {
  const { minimum, maximum } = (await attempt(schemaOf("Video")))?.properties.duration_s.anyOf.find((one) => one.type === "number") ?? {};
  if (minimum === undefined) return;
  Object.assign(input, { min: minimum, max: maximum });
  hint.textContent = `${minimum} to ${maximum} s; empty: until it is stopped`;
}

/** What the camera is doing now, as its status says, so that everybody sees it. */
export function progressPanel(camera, label) {
  const recording = el("p", { class: "live-recording", hidden: true });
  const bar = el("progress", { max: 1, "aria-label": `Exposure of ${label}` });
  const exposing = el("span", {});
  const exposure = el("p", { class: "row live-exposure", hidden: true }, bar, exposing);
  const more = el("p", { class: "quiet-text" });
  const tell = () => {
    const status = camera.status ?? {};
    const since = camera.fresh ? (performance.now() - camera.seenAt) / 1000 : 0;
    recording.hidden = !status.recording;
    recording.textContent = status.recording
      ? `● Recording ${status.recording}, ${formatDuration(status.recording_s + since)}${camera.fresh ? "" : " when last heard"}`
      : "";
    const long = camera.fresh && status.exposure_progress !== null && status.exposure_time >= LONG_S;
    exposure.hidden = !long;
    if (long) {
      const done = Math.min(status.exposure_progress + since, status.exposure_time);
      bar.value = done / status.exposure_time;
      exposing.textContent = `exposing ${done.toFixed(1)} of ${status.exposure_time.toFixed(1)} s`;
    }
    more.textContent = [
      status.sequence_frame_count === null || status.sequence_frame_count === undefined
        ? null
        : `a sequence runs, ${status.sequence_frame_count} of ${status.sequence_frame_limit || "unlimited"} taken`,
      status.unwritten ? `${status.unwritten} being written` : null,
      camera.status ? `${formatBytes(status.free_bytes)} free` : null,
    ]
      .filter(Boolean)
      .join(" · ");
  };
  camera.on("status", tell);
  statuses.addEventListener("happening", ({ detail: { source, name, data } }) => {
    if (source === `camera/${camera.name}` && name === "recording_stopped") tellTrouble(label, data);
  });
  setInterval(() => camera.status?.recording || !exposure.hidden ? tell() : null, LOOK_MS);
  return el("div", { class: "live-progress" }, recording, exposure, more);
}

/** A recording may end long after it was begun, when nobody waits for an answer. */
function tellTrouble(label, { name, reason, audio_error: silent }) {
  if (!AS_WISHED.includes(reason) || name === null) note(`${label}: the recording has ended: ${reason}. ${name === null ? "Nothing of it was kept." : `${name} was kept.`}`, "bad");
  if (silent) note(`${label}: the sound of ${name ?? "the recording"} ended early: ${silent}`, "bad");
}
