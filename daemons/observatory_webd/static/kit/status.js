/* What the daemons say: one WebSocket for the whole page (an EventSource would keep one of the browser's six connections for each
 * window). It rests while nobody sees the page, and begins again by itself, where it was.
 *
 *   import { statuses } from "../kit/status.js";
 *   statuses.watch("camera", "cam1", (wire, fresh) => ...);   // at once if known, then whenever it changes
 *   statuses.guard(panel, "camera", "cam1");                  // its fieldset.needs-fresh are disabled while the reading is stale
 *   statuses.addEventListener("happening", ({ detail }) => ...); // a daemon's event: detail.source, .name, .data
 *
 *   statuses.addEventListener("lost", ({ detail }) => ...);   // events were missed: detail.count, null if it is not known
 *   statuses.addEventListener("regained", () => ...);         // the page hears the server again
 *
 * `wire` is what GET /api/v1/cameras/NAME answers: reachable, since, error, status, status_age_s. `fresh` is false when the daemon is
 * away, has said nothing for a while, or the page itself has lost the server.
 */

import { ROOT, Problem, get } from "./api.js";
import { formatTime } from "./dom.js";
import { retryDelay } from "./live.js";
import { isStill } from "./session.js";

const STALE_S = 5;
const LOOK_MS = 1000;
const SILENT_MS = 12000; // then the connection is given up; the server says something every 4 s
const LONGEST_RETRY_MS = 5000;
const SESSION_WITHIN_MS = 3000;

class Statuses extends EventTarget {
  #socket = null;
  #heardAt = 0;
  #heard = false; // anything on this connection
  #lastId = "";
  #failures = 0;
  #retry = null;
  #known = new Map(); // "camera/cam1" -> { wire, at }
  #fresh = new Map();

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => this.#attend());
    setInterval(() => this.#look(), LOOK_MS);
    this.#attend();
  }

  /** Whether the page hears the server. */
  get connected() {
    return this.#socket !== null && this.#heard;
  }

  /** The last status of a daemon, null if none has come. */
  of(kind, name) {
    return this.#known.get(`${kind}/${name}`)?.wire ?? null;
  }

  /** Whether what is shown of it holds now. */
  isFresh(kind, name) {
    const known = this.#known.get(`${kind}/${name}`);
    if (!known || !this.connected || !known.wire.reachable) return false;
    return (known.wire.status_age_s ?? Infinity) + (performance.now() - known.at) / 1000 < STALE_S;
  }

  /** Call `listener(wire, fresh)` now, if something is known, and on each change. */
  watch(kind, name, listener) {
    const source = `${kind}/${name}`;
    this.addEventListener("change", ({ detail }) => {
      if (detail === source) listener(this.of(kind, name), this.isFresh(kind, name));
    });
    if (this.of(kind, name)) listener(this.of(kind, name), this.isFresh(kind, name));
  }

  /** Disable the `fieldset.needs-fresh` in `root` while the daemon's reading is stale, or `trouble(status)` says why they are of no
   * use (null: they are), and say why in its `.away`, if it has one. */
  guard(root, kind, name, trouble = () => null) {
    const apply = (wire, fresh) => {
      const why = fresh ? trouble(wire.status) : awayText(wire, this.connected);
      for (const controls of root.querySelectorAll("fieldset.needs-fresh")) controls.disabled = why !== null;
      root.classList.toggle("stale", why !== null);
      const told = wire === null && !this.connected ? "" : (why ?? ""); // a page just opened has lost nothing
      for (const place of root.querySelectorAll(".away")) {
        place.hidden = told === "";
        if (place.textContent !== told) place.textContent = told; // it may be read aloud
      }
    };
    apply(this.of(kind, name), this.isFresh(kind, name));
    this.watch(kind, name, apply);
  }

  #attend() {
    if (document.visibilityState === "hidden") {
      this.#hangUp();
    } else if (this.#socket === null) {
      this.#listen();
    }
    this.#look();
  }

  #hangUp() {
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = null;
    this.#heard = false;
    socket?.close();
  }

  #listen() {
    clearTimeout(this.#retry);
    const url = new URL(`${ROOT}/events/ws`, location.origin);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    if (this.#lastId) url.searchParams.set("last_event_id", this.#lastId);
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#heardAt = performance.now();
    socket.addEventListener("message", ({ data }) => {
      if (socket === this.#socket) this.#hear(JSON.parse(data));
    });
    socket.addEventListener("close", () => {
      if (socket === this.#socket) this.#again();
    });
  }

  #hear({ event, id, data }) {
    this.#heardAt = performance.now();
    if (!this.#heard) {
      this.#heard = true;
      this.#failures = 0;
      if (this.#known.size) this.dispatchEvent(new Event("regained"));
    }
    if (id) this.#lastId = id;
    if (event === "status") {
      this.#known.set(`${data.kind}/${data.name}`, { wire: data, at: performance.now() });
      this.#look(`${data.kind}/${data.name}`);
    } else if (event === "event") {
      this.dispatchEvent(new CustomEvent("happening", { detail: data }));
    } else if (event === "lost") {
      this.dispatchEvent(new CustomEvent("lost", { detail: data }));
    } else if (event === "session") {
      isStill(data);
    }
  }

  /** The connection is lost, or refused. */
  #again() {
    this.#hangUp();
    this.#failures += 1;
    this.#retry = setTimeout(() => this.#resume(), Math.min(LONGEST_RETRY_MS, retryDelay(this.#failures)));
    this.#look();
  }

  /** If the login has ended, `get` leads to another one, and nothing is tried here. It is asked after the pause: where another tab
   * has begun a new login, the browser has its cookie by then. */
  async #resume() {
    try {
      isStill(await get("/session", { within: SESSION_WITHIN_MS }));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 401) return;
    }
    this.#attend();
  }

  #look(changed = null) {
    if (this.#socket !== null && performance.now() - this.#heardAt > SILENT_MS) {
      this.#again(); // comes here again
      return;
    }
    for (const source of this.#known.keys()) {
      const [kind, ...name] = source.split("/");
      const fresh = this.isFresh(kind, name.join("/"));
      if (source === changed || this.#fresh.get(source) !== fresh) {
        this.#fresh.set(source, fresh);
        this.dispatchEvent(new CustomEvent("change", { detail: source }));
      }
    }
    this.dispatchEvent(new Event("connection"));
  }
}

export const statuses = new Statuses();

/** Why nothing can be done with a daemon now, and since when. */
export function awayText(wire, connected) {
  if (!connected) return "This page has lost the server; it tries again.";
  if (wire === null) return "Nothing is known of it yet.";
  if (wire.reachable) return "Its last reading is old.";
  return `Not reachable since ${formatTime(wire.since)}${wire.error ? `: ${wire.error}` : ""}`;
}
