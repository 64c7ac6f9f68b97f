/* What goes on for a while at a daemon: begun once, shown with its progress and its expected end, cancelled. */

import { Problem, get, pathOf, post } from "./api.js";
import { attempt, el, formatClock, may, note } from "./dom.js";
import { say } from "./poll.js";
import { statuses } from "./status.js";

const LOOK_MS = 700;
const LOOK_AGAIN_MS = 2000;
const FIRST_LOOK_MS = 300;
const SLOWER = 1.3;
const AWAY_MS = 60000;
/** The server, or the daemon, may or may not have done it: 0 is no answer at all. */
const UNSURE = [0, 503, 504];
const GONE = [404, 410, 422];

/** An id that no other request has. (crypto.randomUUID is for https only.) */
export function requestId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * POST something that must not be done twice. If it is not certain whether it was done, the user is offered to try again,
 * with the same id. `onAnswer` gets the answer, `onRefusal` any other Problem (else it is told in a note).
 */
export async function postOnce(path, body, { onAnswer = () => {}, onRefusal = null } = {}) {
  const complete = { request_id: requestId(), ...body };
  const again = () => postOnce(path, complete, { onAnswer, onRefusal });
  let answer;
  try {
    answer = await post(path, complete);
  } catch (error) {
    if (UNSURE.includes(error.status)) offer(error, again, path);
    else if (onRefusal && error.detail) onRefusal(error);
    else note(error.detail ?? error.message, "bad");
    return;
  }
  await attempt(() => onAnswer(answer));
}

/**
 * Wait for a job's end. Looks now and then, and whenever something happens at its daemon: a request that waited would keep one of
 * the browser's few connections. Goes on for a minute without an answer. Throws a Problem if the job failed, or is not known any more.
 */
export async function finished(kind, name, job) {
  let latest = job;
  let failedAt = null; // first since the last answer: a page that rests asks for nothing
  for (let pause = FIRST_LOOK_MS; latest.state === "running"; pause = Math.min(LOOK_AGAIN_MS, pause * SLOWER)) {
    await somethingHappens(`${kind}/${name}`, pause);
    try {
      latest = await get(pathOf(kind, name, "jobs", job.id));
      failedAt = null;
    } catch (error) {
      failedAt ??= performance.now();
      if (!UNSURE.includes(error.status) || performance.now() - failedAt > AWAY_MS) throw error;
    }
    if (latest.boot_id !== job.boot_id) throw new Problem(410, { detail: "the daemon was started anew meanwhile; whether it was done is not known" });
  }
  if (!["succeeded", "stopped"].includes(latest.state)) throw new Problem(409, { detail: latest.error?.message ?? `it ended as ${latest.state}` });
  return latest;
}

/** An event of the daemon, or so many milliseconds. */
function somethingHappens(source, withinMs) {
  return new Promise((resolve) => {
    const heard = ({ detail }) => detail.source === source && done();
    const timer = setTimeout(done, withinMs);
    function done() {
      clearTimeout(timer);
      statuses.removeEventListener("happening", heard);
      resolve();
    }
    statuses.addEventListener("happening", heard);
  });
}

function offer(error, again, path) {
  const button = el("button", { type: "button", class: "second" }, "Try again");
  button.addEventListener("click", () => {
    button.closest(".note").remove();
    again();
  });
  const end = path.startsWith("/cameras/") ? ", unless the camera's daemon was started anew meanwhile" : ""; // others keep the ids
  note(el("span", { class: "row" }, `${error.detail}. It may or may not have been done; trying again does it once at most${end}.`, button), "bad");
}

/** A job as it goes on, and how it ended. `describe(job)` is the text about one that runs, `told(job)` about its end. */
export class JobView {
  #path;
  #describe;
  #told;
  #following = null;
  #shown = null;
  #timer = null;
  #over = true;

  constructor(kind, name, { describe, told }) {
    this.#path = (...more) => pathOf(kind, name, "jobs", ...more);
    this.#describe = describe;
    this.#told = told;
    this.text = el("p", { class: "job-text reading", role: "status" });
    this.when = el("p", { class: "quiet-text reading" });
    this.bar = el("progress", { max: 1, value: 0, "aria-label": "Progress" });
    this.cancel = el("button", { type: "button", class: "second", on: { click: () => this.#cancel() } }, "Cancel");
    this.cancel.hidden = true;
    this.element = el("div", { class: "job", hidden: true }, this.text, this.bar, el("div", { class: "row" }, this.when, this.cancel));
  }

  /** Whether what it shows goes on. */
  get running() {
    return !this.element.hidden && !this.#over;
  }

  /** Show the job of this id of this run of the daemon. */
  follow(id, bootId) {
    if (this.#following?.id === id && this.#following.bootId === bootId) return;
    this.#following = { id, bootId };
    clearTimeout(this.#timer);
    this.#look();
  }

  /** Describe what goes on anew: what the description is made from has changed. */
  retell() {
    if (this.running) say(this.text, this.#describe(this.#shown));
  }

  /** Nothing is known of it any more. */
  forget() {
    this.#following = null;
    clearTimeout(this.#timer);
    this.element.hidden = true;
  }

  async #look() {
    if (document.visibilityState === "hidden") {
      this.#timer = setTimeout(() => this.#look(), LOOK_AGAIN_MS); // nobody sees it
      return;
    }
    const following = this.#following;
    let pause = LOOK_MS;
    try {
      const job = await get(this.#path(following.id));
      if (this.#following !== following) return;
      if (job.boot_id !== following.bootId) {
        this.forget();
        return;
      }
      this.#show(job);
      if (this.#over) return;
      if (job.expected_end === null) pause = LOOK_AGAIN_MS;
    } catch (error) {
      if (this.#following !== following) return;
      if (GONE.includes(error.status)) {
        this.forget();
        return;
      }
      pause = LOOK_AGAIN_MS;
    }
    this.#timer = setTimeout(() => this.#look(), pause);
  }

  #show(job) {
    const running = job.state === "running";
    this.#over = !running;
    this.#shown = job;
    const text = running ? this.#describe(job) : this.#told(job);
    say(this.text, text);
    this.text.className = running || ["succeeded", "stopped"].includes(job.state) ? "job-text reading" : "job-text bad";
    this.bar.hidden = !running || job.expected_end === null;
    this.bar.value = job.progress;
    say(this.when, running ? ends(job) : `${formatClock(job.ended)}, begun by ${job.started_by}`);
    this.cancel.hidden = !running || !may("operator");
    this.element.hidden = false;
  }

  #cancel() {
    return attempt(post(this.#path(this.#following.id, "cancel")));
  }
}

function ends(job) {
  const begun = `begun ${formatClock(job.started)} by ${job.started_by}`;
  if (job.expected_end === null) return `goes on until it is stopped, ${begun}`;
  return `${Math.round(100 * job.progress)} %, to end at ${formatClock(job.expected_end)}, ${begun}`;
}
