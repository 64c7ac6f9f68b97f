/* A panel for each focuser; above them, always in view, what stops them. */

import { pathOf, post } from "../kit/api.js";
import { attempt, el, formatTime, may, note, shown } from "../kit/dom.js";
import { say } from "../kit/poll.js";
import { statuses } from "../kit/status.js";
import { LifeButtons } from "./devices-life.js";
import { ChannelCard, steps } from "./focus-channel.js";

const STOP_WITHIN_MS = 10000;

class Focuser {
  #cards = new Map();
  #numbers = "";

  constructor({ name, label }) {
    this.name = name;
    this.label = label;
    this.state = el("dd", { class: "reading" }, "unknown");
    this.device = el("dd", {}, "unknown");
    this.read = el("dd", {}, "unknown");
    this.temperatures = el("div", { class: "temperatures row" });
    this.trouble = el("p", { class: "bad", hidden: true });
    this.channels = el("div", { class: "grid" });
    this.single = []; // the buttons that stop one channel each
    this.stops = el("div", { class: "row", role: "group", "aria-label": `Stop ${label}` });
    this.fans = el("div", { class: "row", role: "group", "aria-label": "Fans", hidden: true });
    this.equipment = this.#equipment();
    this.equipment.hidden = true; // until what stands above it is there
    this.element = el("section", { class: "panel focuser", "aria-label": label, dataset: { focuser: name } },
      el("h2", {}, label),
      el("p", { class: "away", role: "status" }),
      this.trouble,
      el("dl", { class: "facts" },
        el("dt", {}, "Controller"), this.state,
        el("dt", {}, "Device"), this.device,
        el("dt", {}, "Last read"), this.read),
      this.temperatures,
      this.channels,
      this.equipment);
    this.#drawStops([]);
    statuses.watch("focuser", name, (wire, fresh) => this.#show(wire.status, fresh));
    statuses.guard(this.element, "focuser", name);
    statuses.addEventListener("happening", ({ detail }) => this.#hear(detail));
  }

  /** Stop a channel, or (null) all. Tried whatever this page thinks of the daemon. */
  async stop(channel) {
    const answer = await attempt(post(pathOf("focuser", this.name, "stop"), { channel }, { within: STOP_WITHIN_MS }));
    if (answer === undefined) return;
    for (const one of answer.stopped) {
      const where = one.position_steps === null || one.position_steps === undefined ? "" : ` at ${steps(one.position_steps)}`;
      note(`${this.label}: channel ${one.channel} is stopped${where}`);
    }
  }

  #show(status, fresh) {
    if (!status) return;
    say(this.state, status.state);
    this.state.className = status.state === "offline" || status.state === "connecting" ? "reading warn" : "reading";
    const known = [status.serial_port, status.firmware && `firmware ${status.firmware}`, status.steps_per_s && `${status.steps_per_s.toFixed(1)} steps/s`];
    say(this.device, known.filter(Boolean).join(", "));
    say(this.read, formatTime(status.reading_date));
    this.trouble.hidden = !status.last_error;
    say(this.trouble, status.last_error ?? "");
    this.#showTemperatures(status);
    this.#showFans(status.fans_enabled);
    this.life?.show({ open: ["idle", "moving"].includes(status.state), closed: status.state === "offline" });
    const numbers = status.channels.join();
    if (numbers !== this.#numbers) this.#drawChannels(status.channels, numbers);
    for (const card of this.#cards.values()) card.show(status, fresh);
    this.equipment.hidden = false;
  }

  /** A move may be over before any status tells of it. */
  #hear({ source, data }) {
    const status = statuses.of("focuser", this.name)?.status;
    if (source === `focuser/${this.name}` && data.job && status) this.#cards.get(data.channel)?.job.follow(data.job, status.boot_id);
  }

  #drawChannels(numbers, key) {
    this.#numbers = key;
    this.#cards = new Map(numbers.map((number) => [number, new ChannelCard(this.name, number)]));
    this.channels.replaceChildren(...[...this.#cards.values()].map((card) => card.element));
    this.#drawStops(numbers);
  }

  #drawStops(numbers) {
    if (!may("operator")) return;
    const button = (text, channel) =>
      el("button", { type: "button", class: "danger stop", "aria-label": `${text} of ${this.label}`, on: { click: () => this.stop(channel) } }, text);
    if (this.stops.children.length === 0) {
      if (shown("focuser").length > 1) this.stops.append(el("strong", { class: "stop-name" }, this.label));
      this.stops.append(button("Stop all", null)); // first, and there to stay: no other may come under a finger that is on its way
    }
    for (const one of this.single) one.remove();
    this.single = numbers.map((number) => button(`Stop ${number}`, number));
    this.stops.append(...this.single);
  }

  #showTemperatures(status) {
    const found = Object.entries(status).map(([key, value]) => [/^temperature_(.+)_C$/.exec(key)?.[1], value]).filter(([name]) => name);
    this.temperatures.hidden = found.length === 0;
    this.temperatures.replaceChildren(...found.map(([name, value]) =>
      el("span", { class: "temperature" }, el("span", { class: "quiet-text" }, `${name} `),
        el("span", { class: "reading" }, value === null ? "unknown" : `${value.toFixed(1)} °C`))));
  }

  #showFans(enabled) {
    this.fans.hidden = enabled === null || enabled === undefined;
    this.fans.querySelector(".fan-state").textContent = enabled ? "Fans are on" : "Fans are off";
    for (const button of this.fans.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === String(enabled)));
  }

  #equipment() {
    this.fans.append(el("span", { class: "fan-state" }));
    if (!may("operator")) return el("div", {}, this.fans, el("p", { class: "hint" }, "Operators can move, stop and set it; you may look."));
    const fan = (enabled) => el("button", { type: "button", class: "second", value: String(enabled),
      on: { click: () => attempt(post(pathOf("focuser", this.name, "fans"), { enabled })) } }, enabled ? "Fans on" : "Fans off");
    this.fans.append(fan(true), fan(false));
    this.life = new LifeButtons("focuser", this.name, this.label, {
      initialize: [`Connect ${this.label} to its controller?`],
      shutdown: [`Have ${this.label} let go of its controller?`, "Every motor is stopped; nothing connects again until it is initialized."],
    });
    return el("fieldset", { class: "needs-fresh row equipment" }, el("legend", {}, "Equipment"), this.fans, this.life.element);
  }
}

function main() {
  const focusers = shown("focuser").map((item) => new Focuser(item));
  const place = document.querySelector("#focus");
  if (focusers.length === 0) {
    place.append(el("p", {}, "No focuser is shown here: the configuration of webd names none."));
    return;
  }
  place.append(...focusers.map((focuser) => focuser.element));
  if (!may("operator")) return;
  const stops = document.querySelector("#stops");
  stops.append(...focusers.map((focuser) => focuser.stops), el("p", { class: "hint" }, focusers.length > 1
    ? "The key Escape stops all channels of the focuser that you used last here, of every one if you used none."
    : "The key Escape stops all channels."));
  stops.hidden = false;
  stopAtEscape(focusers);
}

function stopAtEscape(focusers) {
  let used = focusers;
  for (const focuser of focusers) {
    for (const event of ["pointerdown", "focusin"]) focuser.element.addEventListener(event, () => (used = [focuser]));
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.repeat || document.querySelector("dialog[open]")) return;
    for (const focuser of used) focuser.stop(null);
  });
}

main();
