/* One device: what it reads, since when, who set it, what it does, and its methods. */

import { pathOf, post } from "../kit/api.js";
import { attempt, el, formatClock, formatTime, freshId, may } from "../kit/dom.js";
import { JobView, postOnce } from "../kit/jobs.js";
import { say } from "../kit/poll.js";
import { methodForm } from "./gpio-form.js";
import { colourOf, details, headline, isKnown } from "./gpio-reading.js";

/** What makes a device safe: never disabled, and needs no request id, since it may be done twice. */
const SAFE = ["stop", "off", "detach"];
const words = (name) => name.replaceAll("_", " ");
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const kindOf = ({ id, label, type, lines }) => [...(label ? [id] : []), type, ...Object.values(lines)].join(", ");

export class DeviceCard {
  #gpio;
  #device;
  #job;

  constructor(gpio, device) {
    this.#gpio = gpio;
    this.#device = device;
    this.direction = device.direction;
    this.controls = [];
    const title = el("h4", { id: freshId("device") }, device.label ?? device.id);
    this.swatch = el("span", { class: "swatch", "aria-hidden": "true", hidden: true });
    this.reading = el("span", { class: "value reading" }, "unknown");
    this.since = el("p", { class: "quiet-text" });
    this.error = el("p", { class: "bad", hidden: true });
    this.facts = el("dl", { hidden: true });
    this.#job = new JobView("gpio", gpio, {
      describe: (job) => `Running: ${words(methodOf(job))}`,
      told: (job) => `${capital(words(methodOf(job)))}: ${endOf(job)}`,
    });
    this.element = el("article", { class: "device", "aria-labelledby": title.id, dataset: { device: device.id } },
      title,
      el("p", { class: "kind quiet-text", title: device.description }, kindOf(device)),
      el("p", { class: "now" }, this.swatch, this.reading),
      this.since, this.error, this.facts, this.#job.element,
      device.methods.length > 0 && may("operator") ? this.#methods() : null);
  }

  /** Show what the status says of this device. What is unknown cannot be used, but can be made safe. */
  show(status) {
    const state = (key) => status[`${key}_${this.#device.id}`];
    say(this.reading, headline(this.#device, state));
    this.reading.classList.toggle("active", state("active") === true);
    const colour = colourOf(state("value"));
    this.swatch.hidden = colour === null;
    if (colour !== null) this.swatch.style.backgroundColor = colour;
    const by = state("set_by");
    say(this.since, state("since") ? `since ${formatTime(state("since"))}${by ? `, set by ${by}` : ""}` : "since when is unknown");
    this.error.hidden = !state("error");
    say(this.error, state("error") ? `Cannot be used: ${state("error")}` : "");
    if (state("job")) this.#job.follow(state("job"), status.boot_id); // somebody else's, perhaps
    this.#showFacts(state);
    for (const controls of this.controls) controls.disabled = !isKnown(state);
  }

  #showFacts(state) {
    const found = details(this.#device, state);
    this.facts.hidden = found.length === 0;
    const texts = found.flat();
    if (this.facts.children.length !== texts.length) {
      this.facts.replaceChildren(...found.flatMap(() => [el("dt"), el("dd", { class: "reading" })]));
    }
    texts.forEach((text, index) => say(this.facts.children[index], text));
  }

  #methods() {
    const { methods } = this.#device;
    const safe = methods.filter(({ name }) => SAFE.includes(name));
    const plain = methods.filter((method) => !SAFE.includes(method.name) && (method.parameters.length === 0 || method.name === "on"));
    const withParameters = methods.filter(({ parameters }) => parameters.length > 0);
    const button = (method, kind, act) => el("button", { type: "button", class: kind, title: method.description,
      "aria-label": `${capital(words(method.name))}: ${this.#device.label ?? this.#device.id}`, on: { click: act } }, capital(words(method.name)));
    this.controls = [
      el("fieldset", {}, el("div", { class: "row" }, plain.map((method) => button(method, "second", () => this.#call(method.name, {}))))),
      el("fieldset", { class: "forms" }, withParameters.map((method) => methodForm(method, {
        title: method.name === "on" ? "On for a time" : capital(words(method.name)),
        act: (values, refuse) => this.#call(method.name, values, refuse),
      }))),
    ];
    const [buttons, forms] = this.controls.map((controls) => el("fieldset", { class: "needs-fresh" }, controls));
    return el("div", { class: "methods" },
      el("div", { class: "row" }, plain.length > 0 ? buttons : null,
        safe.map((method) => button(method, method.name === "stop" ? "danger" : "second", () => this.#makeSafe(method.name)))),
      withParameters.length > 0 ? forms : null);
  }

  #path(method) {
    return pathOf("gpio", this.#gpio, "devices", this.#device.id, method);
  }

  #makeSafe(method) {
    return attempt(post(this.#path(method)));
  }

  #call(method, values, refuse = null) {
    return postOnce(this.#path(method), { arguments: values }, {
      onAnswer: (job) => (job.state === "running" ? this.#job.follow(job.id, job.boot_id) : this.#job.forget()),
      onRefusal: refuse,
    });
  }
}

const methodOf = (job) => job.kind.slice(job.kind.indexOf(".") + 1);

function endOf(job) {
  if (job.state === "succeeded") return "done";
  if (job.state === "stopped") return "stopped";
  return `${words(job.state)}: ${job.error?.message ?? "no reason is known"} (${formatClock(job.ended)})`;
}
