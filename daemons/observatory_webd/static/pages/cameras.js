/* The cameras: what each is and can do, what live view, photos, raw frames and recordings are, and whether it is in use. */

import { get, pathOf, post } from "../kit/api.js";
import { attempt, confirmed, el, may, note, shown } from "../kit/dom.js";
import { statuses } from "../kit/status.js";
import { isOpen } from "./camera-state.js";
import { capabilityFacts, facts, modesTable, statusFacts, troubles } from "./cameras-facts.js";
import { UseCaseForm } from "./cameras-use-case.js";
import { LifeButtons } from "./devices-life.js";

const USE_CASES = ["live", "photo", "raw", "video"];
const LOOK_MS = 10_000; // for what others change that no status tells

class CameraPanel {
  #name;
  #label;
  #status = el("div", { class: "reading" });
  #troubles = el("ul", { class: "bad", role: "status" });
  #capabilities = el("div");
  #modes = el("div");
  #cases = el("div");
  #life = null;
  #forms = new Map();
  #running = "";
  #run = ""; // of the daemon, and its camera: another one may be able to do other things
  #loading = false;
  #looks = 0;
  #wasShown = false;
  #reset = el("button", { type: "button", class: "second", on: { click: () => this.#askReset() } }, "Back to the configuration ...");

  constructor({ name, label }) {
    this.#name = name;
    this.#label = label;
    const title = el("h2", { id: `camera-${name}` }, label);
    if (may("operator")) {
      this.#life = new LifeButtons("camera", name, label, {
        initialize: [`Open ${label}?`, "camerad opens the camera, and the live view begins."],
        shutdown: [`Shut ${label} down?`, "camerad lets go of the camera: live view, recording and everything else of it end for everybody, until it is initialized."],
      });
    }
    this.element = el("section", { class: "panel camera unread", "aria-labelledby": title.id, dataset: { camera: name } },
      el("div", { class: "row between" }, title, this.#life?.element), el("p", { class: "away" }), this.#troubles, el("div", { class: "facts" }, this.#status, this.#capabilities), this.#modes, this.#cases);
    statuses.guard(this.element, "camera", name);
    statuses.watch("camera", name, (wire, fresh) => this.#see(wire, fresh));
    setInterval(() => document.visibilityState === "visible" && this.#look(), LOOK_MS);
  }

  #isOpen() {
    const status = statuses.of("camera", this.#name)?.status;
    return statuses.isFresh("camera", this.#name) && isOpen(status);
  }

  #see(wire, fresh) {
    const { status } = wire;
    const closed = status?.state === "offline";
    this.#life?.show(fresh && status ? { open: !closed, closed } : { open: true, closed: true });
    if (!status) {
      this.element.classList.remove("unread");
      this.#status.replaceChildren();
      return;
    }
    replaceText(this.#status, facts(statusFacts(status)));
    replaceText(this.#troubles, troubles(status).map((line) => el("li", {}, line)));
    this.#troubles.hidden = this.#troubles.children.length === 0;
    if (!this.#isOpen()) {
      this.element.classList.remove("unread");
      this.#disable(true);
      return;
    }
    const run = `${status.boot_id} ${status.model}`;
    const running = JSON.stringify([status.streams, status.settings_changed]);
    if (run !== this.#run) this.#load(run);
    else if (running !== this.#running) this.#look();
    this.#running = running;
    this.#disable(false);
  }

  /** A camera that is shut down is well, but there is nothing to be set. */
  #disable(closed) {
    for (const controls of this.element.querySelectorAll("fieldset.needs-fresh")) controls.disabled = closed;
  }

  async #load(run) {
    if (this.#loading) return;
    this.#loading = true;
    const found = await attempt(Promise.all(["capabilities", "controls"].map((what) => get(pathOf("camera", this.#name, what)))));
    this.#loading = false;
    if (!found) return; // the next status tries again
    this.#run = run;
    this.#build(...found);
    await this.#look();
    this.#disable(!this.#isOpen());
    this.element.classList.remove("unread");
  }

  #build(capabilities, controls) {
    this.#forms.clear();
    this.#wasShown = false;
    for (const name of USE_CASES.filter((name) => name !== "raw" || "raw" in capabilities.streams)) {
      this.#forms.set(name, new UseCaseForm(this.#name, name, capabilities, controls, () => this.#look()));
    }
    const modes = capabilities.modes.length ? modesTable(capabilities.modes) : el("p", { class: "hint" }, "It tells of no modes.");
    this.#capabilities.replaceChildren(facts(capabilityFacts(capabilities)));
    this.#modes.replaceChildren(el("h3", {}, "Modes of the sensor"), modes);
    const reset = may("operator") ? el("fieldset", { class: "needs-fresh" }, el("legend", { class: "unseen" }, "All settings"), this.#reset) : null;
    this.#cases.replaceChildren(
      el("h3", {}, "Use cases"),
      el("p", { class: "hint" }, "When one is saved, the camera is configured anew: the live view stands still for a moment. It is refused during a sequence or a recording."),
      el("div", { class: "use-cases" }, [...this.#forms.values()].map((form) => form.element)),
      ...(reset ? [reset] : []),
    );
  }

  /** Ask what the use cases are. */
  async #look() {
    if (!this.#isOpen() || this.#forms.size === 0) return;
    const look = (this.#looks += 1);
    const asked = ["use-cases", "settings"].map((what) => get(pathOf("camera", this.#name, what)));
    const found = await Promise.all(asked).catch(() => null); // if the camera has gone the status says so
    if (!found || (this.#wasShown && look !== this.#looks)) return; // a later one is newer, whichever is answered first
    const [cases, settings] = found;
    for (const [name, form] of this.#forms) form.show(cases[name] ?? null, name in settings.use_cases);
    this.#wasShown = true;
    this.#reset.disabled = !settings.changed;
  }

  async #askReset() {
    const details = ["All use cases and controls become what the daemon's configuration says. Kept sets stay. The live view stands still for a moment."];
    if (!(await confirmed(`Take ${this.#label} back to its configuration?`, { agree: "Back to the configuration", details }))) return;
    if ((await attempt(post(pathOf("camera", this.#name, "settings", "reset")))) !== undefined) note(`${this.#label} is as its configuration says.`);
    await this.#look();
  }
}

/** Replace only what reads otherwise: a selection of text stays. */
function replaceText(place, content) {
  const elements = [content].flat();
  if (place.textContent !== elements.map((one) => one.textContent).join("")) place.replaceChildren(...elements);
}

const place = document.querySelector("#cameras");
const cameras = shown("camera");
if (cameras.length === 0) place.append(el("p", {}, "No camera is configured here."));
else place.append(...cameras.map((camera) => new CameraPanel(camera).element));
