/* A live view: draws a camera's stream on a canvas, as H.264 where the browser decodes it (WebCodecs, which browsers offer
 * to secure pages only) and the camera has it, else as JPEG pictures. Connects again by itself, and says when what is seen is old.
 *
 *   import { LiveView } from "/static/kit/live.js";
 *   const view = new LiveView(canvas, { camera: "cam1", stream: "live" });
 *   view.addEventListener("state", () => badge.textContent = view.state);
 *   view.start();
 *
 * `view.state` is one of STATES, `view.reason` why the last connection ended, `view.codec` what is shown ("jpeg", "h264"),
 * `view.latencySeconds` how old the picture on the canvas was when it was drawn (null: not known), `view.ageSeconds` how long
 * ago that was, `view.framesPerSecond` how many were drawn in the last second. Events: "state" and "frame".
 */

export const STATES = ["stopped", "connecting", "live", "stale"];

const HEADER_VERSION = 1;
const FLAG_KEY = 1;
const STALE_MS = 3000;
const SILENT_MS = 15000; // then the connection is given up; a camera may expose for long, but the clock is answered
const CLOCK_MS = 5000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15000;
const GOOD_AFTER_MS = 5000; // a connection that delivered for so long starts the back-off anew
const LOOK_MS = 500;
const MOST_DECODING = 8; // pictures that wait for the decoder; beyond, it is behind

/** The header and the data of a binary message. Throws for one of another version. */
export function parseMessage(buffer) {
  const view = new DataView(buffer);
  if (view.getUint8(0) !== HEADER_VERSION) {
    throw new RangeError(`message version ${view.getUint8(0)}, expected ${HEADER_VERSION}`);
  }
  return {
    key: (view.getUint8(1) & FLAG_KEY) !== 0,
    number: Number(view.getBigUint64(4)),
    timestampUs: Number(view.getBigUint64(12)),
    data: new Uint8Array(buffer, view.getUint16(2)),
  };
}

/** How long to wait before the next try, in milliseconds: doubled each time up to a bound, and spread by chance. */
export function retryDelay(failures, random = Math.random) {
  const delay = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.max(0, failures - 1));
  return delay * (0.75 + 0.5 * random());
}

export class LiveView extends EventTarget {
  #canvas;
  #context;
  #options;
  #environment;
  #socket = null;
  #decoder = null;
  #needsKey = true;
  #drawing = false;
  #next = null;
  #timers = new Set();
  #lookTimer = null;
  #failures = 0;
  #withoutVideo = false; // this browser cannot decode it
  #picturesNext = false; // the last try was for video, and none came
  #delivered = false; // anything that can be seen, on this connection
  #openedAt = 0;
  #heardAt = 0;
  #drawnAt = null;
  #drawnTimes = [];
  #clockSentAt = 0;
  #bestTrip = Infinity;
  #aheadUs = null; // of this page's clock, the server's

  /**
   * options: camera (required), stream ("live"), codec ("auto", "jpeg", "h264"), origin (where the server is).
   * environment: the globals, for tests.
   */
  constructor(canvas, options, environment = globalThis) {
    super();
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#options = { stream: "live", codec: "auto", ...options };
    this.#environment = environment;
    this.state = "stopped";
    this.reason = null;
    this.codec = null;
    this.latencySeconds = null;
    this.frames = 0;
  }

  get ageSeconds() {
    return this.#drawnAt === null ? null : (this.#now() - this.#drawnAt) / 1000;
  }

  get framesPerSecond() {
    const since = this.#now() - 1000;
    this.#drawnTimes = this.#drawnTimes.filter((time) => time > since);
    return this.#drawnTimes.length;
  }

  start() {
    if (this.state !== "stopped") return;
    this.#failures = 0;
    this.#enter("connecting");
    this.#lookTimer = this.#environment.setInterval(() => this.#look(), LOOK_MS);
    this.#connect();
  }

  /** Try again now, if the next try is waited for: there is reason to think that it will succeed. */
  retry() {
    if (this.state === "stopped" || this.#socket !== null) return;
    this.#endTimers();
    this.#failures = 0;
    this.#picturesNext = false;
    this.#connect();
  }

  stop() {
    if (this.state === "stopped") return;
    this.#environment.clearInterval(this.#lookTimer);
    this.#endTimers();
    this.#hangUp();
    this.#enter("stopped");
  }

  #endTimers() {
    for (const timer of this.#timers) this.#environment.clearTimeout(timer);
    this.#timers.clear();
  }

  #now() {
    return this.#environment.performance.now();
  }

  #enter(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  #mayDecode() {
    const { isSecureContext, VideoDecoder } = this.#environment;
    return Boolean(isSecureContext) && typeof VideoDecoder === "function" && !this.#withoutVideo;
  }

  #connect() {
    const { camera, stream, codec, origin } = this.#options;
    this.codec = codec === "auto" ? (this.#mayDecode() && !this.#picturesNext ? "h264" : "jpeg") : codec;
    const path = `/api/v1/cameras/${encodeURIComponent(camera)}/streams/${encodeURIComponent(stream)}/ws`;
    const url = new URL(path, origin ?? this.#environment.location.origin);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("codec", this.codec);
    const socket = new this.#environment.WebSocket(url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#needsKey = true;
    this.#delivered = false;
    this.#openedAt = this.#heardAt = this.#now();
    this.#clockSentAt = -Infinity; // a young page's clock begins at 0
    this.#bestTrip = Infinity;
    socket.addEventListener("message", (event) => this.#hear(socket, event.data));
    socket.addEventListener("close", (event) => this.#closed(socket, event.reason || "the connection was lost"));
  }

  #hangUp() {
    const socket = this.#socket;
    this.#socket = null;
    this.#next = null;
    if (socket !== null) socket.close();
    this.#endDecoder();
  }

  #endDecoder() {
    if (this.#decoder !== null && this.#decoder.state !== "closed") this.#decoder.close();
    this.#decoder = null;
  }

  #closed(socket, reason) {
    if (socket !== this.#socket) return;
    this.#hangUp();
    this.reason = reason;
    this.#failures = this.#now() - this.#openedAt > GOOD_AFTER_MS ? 1 : this.#failures + 1;
    // a camera may have pictures alone; they are tried soon, so that one that has just come back is seldom taken for such
    this.#picturesNext = this.#options.codec === "auto" && this.codec === "h264" && !this.#delivered;
    if (this.state === "connecting") this.dispatchEvent(new Event("state")); // the reason is news
    const timer = this.#environment.setTimeout(() => {
      this.#timers.delete(timer);
      this.#connect();
    }, retryDelay(this.#picturesNext ? 1 : this.#failures));
    this.#timers.add(timer);
  }

  /** Now and then: is what is shown old, does the server still answer? */
  #look() {
    const now = this.#now();
    if (this.state === "live" && now - this.#drawnAt > STALE_MS) this.#enter("stale");
    const socket = this.#socket;
    if (socket === null) return;
    if (now - this.#heardAt > SILENT_MS) {
      this.#closed(socket, "the server was silent");
    } else if (socket.readyState === 1 && now - this.#clockSentAt > CLOCK_MS) {
      this.#clockSentAt = now;
      socket.send(JSON.stringify({ type: "clock", sent: now }));
    }
  }

  #hear(socket, data) {
    if (socket !== this.#socket) return;
    this.#heardAt = this.#now();
    if (typeof data === "string") {
      this.#control(JSON.parse(data));
      return;
    }
    this.#delivered = true;
    const message = parseMessage(data);
    if (this.codec === "jpeg") {
      this.#showPicture(message);
    } else {
      this.#decode(message);
    }
  }

  #control(value) {
    if (value.type === "clock") {
      const now = this.#now();
      const trip = now - value.sent;
      if (trip <= this.#bestTrip) {
        // the quickest answer tells the server's clock best
        this.#bestTrip = trip;
        this.#aheadUs = value.now_us - 1000 * (value.sent + trip / 2);
      }
    } else if (value.type === "format" && this.codec === "h264") {
      this.#configure(value);
    }
  }

  #configure(format) {
    this.#endDecoder();
    const decoder = new this.#environment.VideoDecoder({
      output: (frame) => {
        this.#draw(frame, frame.displayWidth, frame.displayHeight, frame.timestamp);
        frame.close();
      },
      error: (error) => this.#videoFailed(decoder, error.message),
    });
    this.#decoder = decoder;
    this.#needsKey = true;
    try {
      decoder.configure({ codec: format.codec, optimizeForLatency: true });
    } catch (error) {
      this.#videoFailed(decoder, error.message);
    }
  }

  /** This browser cannot decode it: pictures then, if the page did not insist. */
  #videoFailed(decoder, message) {
    if (decoder !== this.#decoder || this.#socket === null) return;
    this.#withoutVideo = true;
    this.#closed(this.#socket, `the video cannot be decoded: ${message}`);
  }

  #decode(message) {
    const decoder = this.#decoder;
    if (decoder === null || decoder.state !== "configured") return;
    if (decoder.decodeQueueSize > MOST_DECODING) this.#needsKey = true;
    if (this.#needsKey && !message.key) return;
    this.#needsKey = false;
    const type = message.key ? "key" : "delta";
    decoder.decode(new this.#environment.EncodedVideoChunk({ type, timestamp: message.timestampUs, data: message.data }));
  }

  /** One picture is decoded at a time; of those that come meanwhile the newest is next. */
  async #showPicture(message) {
    this.#next = message;
    if (this.#drawing) return;
    this.#drawing = true;
    try {
      while (this.#next !== null) {
        const { data, timestampUs } = this.#next;
        this.#next = null;
        try {
          const bitmap = await this.#environment.createImageBitmap(new Blob([data], { type: "image/jpeg" }));
          this.#draw(bitmap, bitmap.width, bitmap.height, timestampUs);
          bitmap.close();
        } catch (error) {
          this.reason = `a picture cannot be decoded: ${error.message}`;
        }
      }
    } finally {
      this.#drawing = false;
    }
  }

  #draw(picture, width, height, timestampUs) {
    if (this.state === "stopped") return;
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.width = width;
      this.#canvas.height = height;
    }
    this.#context.drawImage(picture, 0, 0, width, height);
    const now = this.#now();
    this.#drawnAt = now;
    this.#drawnTimes.push(now);
    if (this.#drawnTimes.length > 500) this.#drawnTimes.splice(0, 250);
    this.frames += 1;
    const known = timestampUs && this.#aheadUs !== null;
    this.latencySeconds = known ? (1000 * now + this.#aheadUs - timestampUs) / 1e6 : null;
    this.#enter("live");
    this.dispatchEvent(new Event("frame"));
  }
}
