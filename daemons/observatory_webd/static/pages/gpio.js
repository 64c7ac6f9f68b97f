/* A panel for each GPIO daemon, with a card for each device; above them, always in view, what switches everything off. */

import { get, pathOf, post } from "../kit/api.js";
import { attempt, el, may, note, shown } from "../kit/dom.js";
import { say } from "../kit/poll.js";
import { statuses } from "../kit/status.js";
import { LifeButtons } from "./devices-life.js";
import { DeviceCard } from "./gpio-device.js";
import { EventLog } from "./gpio-events.js";

const OFF_WITHIN_MS = 10000;

class Board {
  #drawnFor = null; // the run of the daemon whose devices are drawn
  #drawn = null;
  #loading = false;
  #cards = [];

  constructor({ name, label }) {
    this.name = name;
    this.label = label;
    this.state = el("span", { class: "badge reading" }, "unknown");
    this.factory = el("span", { class: "quiet-text" });
    this.trouble = el("p", { class: "bad", hidden: true });
    this.outputs = el("div", { class: "grid" });
    this.inputs = el("div", { class: "grid" });
    this.acting = el("section", { hidden: true, "aria-label": "Outputs" }, el("h3", {}, "Outputs"), this.outputs);
    this.sensing = el("section", { hidden: true, "aria-label": "Inputs" }, el("h3", {}, "Inputs"), this.inputs);
    this.none = el("p", { hidden: true }, "It has no devices: its configuration names none.");
    this.log = new EventLog(name, label);
    this.below = el("div", { hidden: true }, this.log.element, this.#equipment()); // until what stands above it is there
    this.element = el("section", { class: "panel board", "aria-label": label, dataset: { gpio: name } },
      el("h2", {}, label, this.state, " ", this.factory),
      el("p", { class: "away", role: "status" }),
      this.trouble, this.acting, this.sensing, this.none, this.below);
    this.off = el("button", { type: "button", class: "danger stop", "aria-label": `All off: ${label}`, on: { click: () => this.#allOff() } },
      shown("gpio").length > 1 ? `All off: ${label}` : "All off");
    statuses.watch("gpio", name, (wire, fresh) => this.#show(wire.status, fresh));
    statuses.guard(this.element, "gpio", name);
  }

  async #allOff() {
    const answer = await attempt(post(pathOf("gpio", this.name, "all-off"), {}, { within: OFF_WITHIN_MS }));
    if (answer !== undefined) note(`${this.label}: ${answer.off.length ? `off: ${answer.off.join(", ")}` : "nothing to switch off"}`);
  }

  #show(status, fresh) {
    if (!status) return;
    say(this.state, status.state);
    this.state.className = `badge reading ${status.state === "ready" ? "good" : "warn"}`;
    say(this.factory, `pins by ${status.pin_factory}`);
    this.trouble.hidden = !status.last_error;
    const well = status.state === "ready";
    this.trouble.className = well ? "quiet-text" : "bad";
    say(this.trouble, status.last_error ? `${well ? "The last trouble, which is over: " : ""}${status.last_error}` : "");
    this.life?.show({ open: ["ready", "partial"].includes(status.state), closed: status.state === "closed" });
    if (fresh && status.boot_id !== this.#drawnFor) this.#load(status.boot_id);
    for (const card of this.#cards) card.show(status, fresh);
  }

  /** Ask what devices there are; what fails is tried again at the next status. */
  async #load(bootId) {
    if (this.#loading) return;
    this.#loading = true;
    try {
      this.#draw(await get(pathOf("gpio", this.name, "devices")));
      this.#drawnFor = bootId;
    } catch (error) {
      this.trouble.hidden = false;
      say(this.trouble, error.detail ?? error.message);
    } finally {
      this.#loading = false;
    }
    this.below.hidden = false;
    const wire = statuses.of("gpio", this.name);
    this.#show(wire.status, statuses.isFresh("gpio", this.name));
  }

  /** Draw the devices, unless they are as they were: then what somebody types into their forms stays. */
  #draw(devices) {
    const same = JSON.stringify(devices);
    if (same === this.#drawn) return;
    this.#drawn = same;
    this.#cards = devices.map((device) => new DeviceCard(this.name, device));
    this.log.knows(devices);
    for (const [direction, section, grid] of [["output", this.acting, this.outputs], ["input", this.sensing, this.inputs]]) {
      const cards = this.#cards.filter((card) => card.direction === direction);
      grid.replaceChildren(...cards.map((card) => card.element));
      section.hidden = cards.length === 0;
    }
    this.none.hidden = devices.length > 0;
  }

  #equipment() {
    if (!may("operator")) return el("p", { class: "hint" }, "Operators can switch, move and stop; you may look.");
    this.life = new LifeButtons("gpio", this.name, this.label, {
      initialize: [`Have ${this.label} claim its pins?`, "Each output is brought to its state at the start."],
      shutdown: [`Have ${this.label} free its pins?`, "Each output is brought to its state at the stop; nothing works until it is initialized."],
    });
    return el("fieldset", { class: "needs-fresh equipment" }, el("legend", {}, "Equipment"), this.life.element);
  }
}

function main() {
  const boards = shown("gpio").map((item) => new Board(item));
  const place = document.querySelector("#gpio");
  if (boards.length === 0) {
    place.append(el("p", {}, "No GPIO is shown here: the configuration of webd names none."));
    return;
  }
  place.append(...boards.map((board) => board.element));
  if (!may("operator")) return;
  const stops = document.querySelector("#stops");
  stops.append(...boards.map((board) => board.off), el("p", { class: "hint" }, "Switches every output off at once: no pulses for servos, no current for steppers."));
  stops.hidden = false;
}

main();
