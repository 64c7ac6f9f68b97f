/* One channel of a focuser: where it is, how sure that is, where it goes, and how to move it. */

import { pathOf, post } from "../kit/api.js";
import { attempt, confirmed, el, field, freshId, may } from "../kit/dom.js";
import { JobView, postOnce } from "../kit/jobs.js";
import { say } from "../kit/poll.js";

const TIMES = [-100, -10, -1, 1, 10, 100];
const STEP = 10;

/** 1000 -> "+1000"; "unknown" for null. */
export function steps(value) {
  if (value === null || value === undefined) return "unknown";
  return `${value > 0 ? "+" : ""}${value}`;
}

export class ChannelCard {
  #focuser;
  #number;
  #status = null;
  #pressed = null;

  constructor(focuser, number) {
    this.#focuser = focuser;
    this.#number = number;
    const title = el("h3", { id: freshId("channel") }, `Channel ${number}`);
    this.position = el("span", { class: "position reading" }, "unknown");
    this.badge = el("span", { class: "badge" });
    this.place = el("div", { class: "track", "aria-hidden": "true" }, el("span", { class: "mark-target" }), el("span", { class: "mark-position" }));
    this.low = el("span");
    this.high = el("span");
    this.target = el("dd", { class: "reading" }, "unknown");
    this.proven = el("dd", {}, "unknown");
    this.job = new JobView("focuser", focuser, { describe: (job) => this.#moving(job), told });
    this.element = el("section", { class: "channel", "aria-labelledby": title.id, dataset: { channel: number } },
      title,
      el("p", { class: "where" }, this.position, " steps ", this.badge),
      this.place, el("p", { class: "ends hint" }, this.low, this.high),
      el("dl", {}, el("dt", {}, "Target"), this.target, el("dt", {}, "Last proven"), this.proven),
      this.job.element,
      ...(may("operator") ? [this.#doubt(), this.#moves()] : []));
  }

  /** Show what the status says of this channel; `fresh`: whether it holds now. */
  show(status, fresh) {
    this.#status = status;
    const current = this.#of("current_steps");
    const known = current !== null && current !== undefined;
    say(this.position, steps(current));
    this.#showBadge(known, fresh);
    say(this.target, steps(this.#of("target_steps")));
    say(this.proven, steps(this.#of("last_confirmed_steps")));
    say(this.low, steps(this.#of("limit_min_steps")));
    say(this.high, steps(this.#of("limit_max_steps")));
    this.#mark(".mark-position", current);
    this.#mark(".mark-target", this.#of("target_steps"));
    const job = this.#of("job");
    if (job) this.job.follow(job, status.boot_id);
    this.job.retell();
    if (this.moves) this.#allow();
  }

  #of(key) {
    return this.#status?.[`${key}_${this.#number}`];
  }

  get #uncertain() {
    return this.#of("position_state") !== "confirmed";
  }

  /** How sure the position is; of an old reading, how sure it was. */
  #showBadge(known, fresh) {
    const moving = this.#of("moving") === true;
    const sure = this.#uncertain ? "uncertain" : "confirmed";
    const text = moving ? (this.#uncertain ? "moving, uncertain" : "moving") : sure;
    say(this.badge, !known ? "not known now" : fresh ? text : `was ${text}`);
    this.badge.className = `badge reading ${!known || this.#uncertain ? "warn" : moving ? "" : "good"}`;
    this.position.classList.toggle("doubtful", known && this.#uncertain);
  }

  #mark(which, value) {
    const mark = this.place.querySelector(which);
    const [low, high] = [this.#of("limit_min_steps"), this.#of("limit_max_steps")];
    mark.hidden = value === null || value === undefined || low >= high;
    if (!mark.hidden) mark.style.left = `${Math.min(100, Math.max(0, (100 * (value - low)) / (high - low)))}%`;
  }

  /** Which controls there is use for now. */
  #allow() {
    const known = this.#of("current_steps") !== null && this.#of("current_steps") !== undefined;
    const moving = this.#of("moving") === true;
    this.doubt.hidden = !known || !this.#uncertain;
    if (this.doubt.hidden) this.accept.checked = false;
    this.zero.disabled = this.confirm.disabled = !known || moving;
    const wasHeld = this.moves.disabled;
    const leaves = this.moves.contains(document.activeElement); // as soon as it is disabled
    this.moves.disabled = !known || moving || (this.#uncertain && !this.accept.checked);
    this.hint.textContent = moving ? "It moves; stop it first to send it elsewhere." : this.doubt.hidden ? "" : "Tick above to move all the same.";
    this.hint.hidden = this.hint.textContent === "" || !known;
    this.wanted.min = this.#of("limit_min_steps");
    this.wanted.max = this.#of("limit_max_steps");
    this.range.textContent = `From ${steps(this.#of("limit_min_steps"))} to ${steps(this.#of("limit_max_steps"))}`;
    this.#allowOffsets();
    if (!wasHeld && this.moves.disabled && !leaves) this.#pressed = null; // it has been left since
    if (wasHeld && !this.moves.disabled) { // a status of before the move ends nothing
      if (document.activeElement === document.body) this.#pressed?.focus();
      this.#pressed = null;
    }
  }

  #allowOffsets() {
    const size = Math.max(1, Math.trunc(Number(this.size.value)) || 1);
    for (const button of this.offsets.querySelectorAll("button")) {
      const by = size * Number(button.value);
      const end = this.#of("target_steps") + by;
      button.textContent = steps(by);
      button.setAttribute("aria-label", `${steps(by)} steps`);
      button.disabled = !(end >= this.#of("limit_min_steps") && end <= this.#of("limit_max_steps"));
      button.title = button.disabled ? `${steps(end)} is outside the limits` : `To ${steps(end)}`;
    }
  }

  // moving

  #moves() {
    this.wanted = el("input", { type: "number", step: 1, inputMode: "numeric" });
    const to = field("Move to", this.wanted, { unit: "steps", hint: "Its limits are not known" });
    this.range = to.querySelector(".hint");
    const go = el("button", {}, "Move");
    this.refusal = el("p", { class: "bad", role: "alert", hidden: true });
    const form = el("form", { class: "row move-to", noValidate: true }, to, go);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const value = this.wanted.valueAsNumber;
      if (Number.isInteger(value)) this.#move(value, false, go);
      else this.#refuse("Enter a whole number of steps.");
    });
    this.offsets = el("div", { class: "offsets", role: "group", "aria-label": "Move by" },
      TIMES.map((times) => el("button", { type: "button", class: "second", value: String(times) })));
    this.offsets.addEventListener("click", ({ target }) => {
      if (target instanceof HTMLButtonElement) this.#move(Number(target.textContent), true, target);
    });
    this.size = el("input", { type: "number", min: 1, step: 1, value: keptSize(this.#focuser, this.#number), inputMode: "numeric" });
    this.size.addEventListener("input", () => {
      keepSize(this.#focuser, this.#number, this.size.value);
      this.#allowOffsets();
    });
    this.hint = el("p", { class: "hint", hidden: true });
    this.moves = el("fieldset", { class: "moves" }, el("legend", {}, "Move"),
      this.offsets, form, this.refusal);
    this.zero = el("button", { type: "button", class: "second", on: { click: () => this.#ask("zero") } }, "Call this 0…");
    return el("fieldset", { class: "needs-fresh" }, this.hint, this.moves,
      el("div", { class: "row more" }, field("Smallest step of the buttons", this.size, { unit: "steps" }), this.zero));
  }

  #move(by, offset, control) {
    this.#refuse(null);
    this.#pressed = control;
    return postOnce(pathOf("focuser", this.#focuser, "move"),
      { channel: this.#number, steps: by, offset, accept_uncertain: this.accept.checked && this.#uncertain },
      {
        onAnswer: (job) => {
          this.accept.checked = false;
          this.job.follow(job.id, job.boot_id);
        },
        onRefusal: (problem) => {
          this.#pressed = null;
          this.#refuse(problem.detail);
        },
      });
  }

  #refuse(text) {
    this.refusal.textContent = text ?? "";
    this.refusal.hidden = text === null;
  }

  // doubt

  #doubt() {
    this.accept = el("input", { type: "checkbox", id: freshId("accept"), on: { change: () => this.#allow() } });
    this.confirm = el("button", { type: "button", class: "second", on: { click: () => this.#ask("confirm") } }, "Confirm position…");
    this.doubt = el("fieldset", { class: "needs-fresh doubt", hidden: true }, el("legend", {}, "Uncertain position"),
      el("p", { class: "warn" }, "Nothing proves that it is where the controller says. Confirm the number, call the place 0, or accept it for one move."),
      el("div", { class: "row" }, this.confirm, el("label", { for: this.accept.id }, this.accept, " Move once although it is uncertain")));
    return this.doubt;
  }

  async #ask(action) {
    const current = steps(this.#of("current_steps"));
    const agreed = action === "zero"
      ? await confirmed(`Call the present position of channel ${this.#number} (${current}) 0?`,
        { agree: "Call it 0", details: ["Nothing moves; positions noted elsewhere then mean other places."] })
      : await confirmed(`Is channel ${this.#number} really at ${current} steps?`,
        { agree: "It is there", details: ["Nothing moves; from now on the number is taken for proven."], danger: false });
    if (agreed) await attempt(post(pathOf("focuser", this.#focuser, action), { channel: this.#number }));
  }

  /** The status may be of before the move, or of the next one: then where this one goes is not known. */
  #moving(job) {
    return this.#of("job") === job.id ? `Moving to ${steps(this.#of("target_steps"))}` : "Moving";
  }
}

function told(job) {
  const at = job.result?.position_steps;
  const where = at === null || at === undefined ? "" : ` at ${steps(at)}`;
  if (job.state === "succeeded") return `Arrived${where}`;
  if (job.state === "stopped") return `Stopped${where}, on the way to ${steps(job.result?.target_steps)}`;
  return `The move ended as ${job.state}${where}: ${job.error?.message ?? "no reason is known"}`;
}

const key = (focuser, number) => `focus-step/${focuser}/${number}`;

function keptSize(focuser, number) {
  try {
    return Number(localStorage.getItem(key(focuser, number))) || STEP;
  } catch {
    return STEP; // a browser may keep nothing
  }
}

function keepSize(focuser, number, value) {
  try {
    localStorage.setItem(key(focuser, number), value);
  } catch {
    // then it holds for this page
  }
}
