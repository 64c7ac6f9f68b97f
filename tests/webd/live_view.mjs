// live.js on messages that a real server sent, in a world of its own: run by test_streams_page.py with
// LIVE_JS (the module) and RECORDED (JSON: for each codec the messages, bytes in base64).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const source = readFileSync(process.env.LIVE_JS);
const { LiveView, parseMessage, retryDelay } = await import(`data:text/javascript;base64,${source.toString("base64")}`);
const recorded = JSON.parse(readFileSync(process.env.RECORDED));

const bytes = (text) => {
  const data = Buffer.from(text, "base64");
  return data.buffer.slice(data.byteOffset, data.byteOffset + data.length);
};
const binary = (codec) => recorded[codec].binary.map(bytes);
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** The globals of a browser, as far as they are used. `now` is the page's clock in milliseconds; timers run by `pass`. */
class World {
  constructor({ secure = true, decodes = true } = {}) {
    this.now = 1000;
    this.sockets = [];
    this.drawn = [];
    this.timers = [];
    this.decoders = [];
    const world = this;
    this.performance = { now: () => world.now };
    this.location = { origin: "http://host:5000" };
    this.isSecureContext = secure;
    this.WebSocket = class {
      constructor(url) {
        this.url = String(url);
        this.sent = [];
        this.readyState = 1;
        this.listeners = {};
        world.sockets.push(this);
      }
      addEventListener(name, call) { this.listeners[name] = call; }
      send(text) { this.sent.push(JSON.parse(text)); }
      close() { this.readyState = 3; }
      say(data) { this.listeners.message({ data }); }
      lose(reason = "") { this.readyState = 3; this.listeners.close({ reason }); }
    };
    this.EncodedVideoChunk = class { constructor(given) { Object.assign(this, given); } };
    this.VideoDecoder = class {
      constructor(callbacks) {
        Object.assign(this, callbacks, { state: "unconfigured", decodeQueueSize: 0, chunks: [] });
        world.decoders.push(this);
      }
      configure(config) {
        if (!decodes) throw new Error("no such codec");
        this.config = config;
        this.state = "configured";
      }
      decode(chunk) {
        this.chunks.push(chunk);
        this.output({ displayWidth: 320, displayHeight: 180, timestamp: chunk.timestamp, close() {} });
      }
      close() { this.state = "closed"; }
    };
    this.createImageBitmap = async (blob) => ({ width: 320, height: 180, size: blob.size, close() {} });
    this.setTimeout = (call, after) => this.#add({ call, at: this.now + after });
    this.setInterval = (call, every) => this.#add({ call, at: this.now + every, every });
    this.clearTimeout = this.clearInterval = (timer) => { this.timers = this.timers.filter((other) => other !== timer); };
  }

  #add(timer) {
    this.timers.push(timer);
    return timer;
  }

  view(options = {}) {
    const context = { drawImage: (picture) => this.drawn.push(picture) };
    const canvas = { width: 0, height: 0, getContext: () => context };
    const view = new LiveView(canvas, { camera: "cam1", ...options }, this);
    view.states = [];
    view.addEventListener("state", () => view.states.push(view.state));
    view.canvas = canvas;
    return view;
  }

  pass(milliseconds) {
    const end = this.now + milliseconds;
    for (;;) {
      const due = this.timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.now = Math.max(this.now, due.at);
      if (due.every) due.at += due.every;
      else this.clearTimeout(due);
      due.call();
    }
    this.now = end;
  }

  get socket() { return this.sockets.at(-1); }
}

test("a message is taken apart", () => {
  const first = parseMessage(binary("jpeg")[0]);
  assert.equal(first.key, true);
  assert.ok(first.number > 0);
  assert.ok(Math.abs(first.timestampUs / 1e6 - Date.now() / 1e3) < 600);
  assert.deepEqual([...first.data.slice(0, 2)], [0xff, 0xd8]);
  assert.throws(() => parseMessage(new ArrayBuffer(20)), /version 0/);
});

test("back-off grows to a bound", () => {
  assert.equal(retryDelay(1, () => 0.5), 500);
  assert.equal(retryDelay(2, () => 0.5), 1000);
  assert.equal(retryDelay(50, () => 0.5), 15000);
  assert.ok(retryDelay(1, () => 0) < retryDelay(1, () => 1));
});

test("video where it can be decoded", () => {
  const world = new World();
  const view = world.view();
  view.start();
  assert.equal(world.socket.url, "ws://host:5000/api/v1/cameras/cam1/streams/live/ws?codec=h264");
  world.socket.say(recorded.h264.text);
  binary("h264").forEach((data) => world.socket.say(data));
  const [decoder] = world.decoders;
  assert.match(decoder.config.codec, /^avc1\./);
  assert.equal(decoder.chunks.length, recorded.h264.binary.length);
  assert.equal(decoder.chunks[0].type, "key");
  assert.equal(world.drawn.length, decoder.chunks.length);
  assert.deepEqual(view.states, ["connecting", "live"]);
  assert.deepEqual([view.canvas.width, view.canvas.height], [320, 180]);
});

test("a decoder begins at a key frame", () => {
  const world = new World();
  world.view().start();
  world.socket.say(recorded.h264.text);
  const later = binary("h264").filter((data) => !parseMessage(data).key);
  world.socket.say(later[0]);
  assert.equal(world.decoders[0].chunks.length, 0);
});

test("a decoder that is behind goes on at a key frame", () => {
  const world = new World();
  world.view().start();
  world.socket.say(recorded.h264.text);
  const [first, second, third] = binary("h264");
  world.socket.say(first);
  world.decoders[0].decodeQueueSize = 9;
  world.socket.say(second);
  world.decoders[0].decodeQueueSize = 0;
  world.socket.say(third);
  assert.equal(world.decoders[0].chunks.length, 1);
  world.socket.say(first);
  assert.equal(world.decoders[0].chunks.length, 2);
});

test("pictures where the page is not secure", async () => {
  const world = new World({ secure: false });
  const view = world.view();
  view.start();
  assert.match(world.socket.url, /codec=jpeg$/);
  world.socket.say(recorded.jpeg.text);
  for (const data of binary("jpeg")) world.socket.say(data);
  await settled();
  assert.equal(world.drawn.length, 2); // the first, and the newest of those that came meanwhile
  assert.equal(view.state, "live");
});

test("pictures where the video cannot be decoded", () => {
  const world = new World({ decodes: false });
  const view = world.view();
  view.start();
  world.socket.say(recorded.h264.text);
  assert.match(view.reason, /no such codec/);
  world.pass(1000);
  assert.match(world.socket.url, /codec=jpeg$/);
});

test("what is old is said to be stale", async () => {
  const world = new World({ secure: false });
  const view = world.view();
  view.start();
  world.socket.say(binary("jpeg")[0]);
  await settled();
  world.pass(2900);
  assert.equal(view.state, "live");
  world.pass(1000);
  assert.equal(view.state, "stale");
  assert.ok(view.ageSeconds > 3);
  world.socket.say(binary("jpeg")[1]);
  await settled();
  assert.equal(view.state, "live");
});

test("a lost connection is made again, later each time, and at once after a good one", () => {
  const world = new World();
  const view = world.view();
  view.start();
  const waits = [];
  for (let count = 0; count < 8; count += 1) {
    world.socket.lose("the camera has gone");
    const before = world.sockets.length;
    let waited = 0;
    while (world.sockets.length === before) { world.pass(10); waited += 10; }
    waits.push(waited);
  }
  assert.equal(view.reason, "the camera has gone");
  assert.ok(waits[0] < 700 && waits.at(-1) > 10000 && waits.every((wait) => wait < 20000), String(waits));
  for (let passed = 0; passed < 6000; passed += 1000) { world.pass(1000); world.socket.say('{"type": "other"}'); }
  world.socket.lose();
  const before = world.sockets.length;
  world.pass(700);
  assert.equal(world.sockets.length, before + 1);
});

test("who knows that the camera is back has it tried at once, once", () => {
  const world = new World();
  const view = world.view();
  view.retry();
  assert.equal(world.sockets.length, 0);
  view.start();
  for (let count = 0; count < 8; count += 1) {
    world.socket.lose("the camera has gone");
    world.pass(20000);
  }
  world.socket.lose("the camera has gone");
  const before = world.sockets.length;
  view.retry();
  view.retry();
  assert.equal(world.sockets.length, before + 1);
  world.pass(10000);
  assert.equal(world.sockets.length, before + 1);
  world.socket.lose();
  world.pass(700);
  assert.equal(world.sockets.length, before + 2);
});

test("a server that is silent is given up", () => {
  const world = new World();
  const view = world.view();
  view.start();
  const first = world.socket;
  world.pass(17000);
  assert.notEqual(world.socket, first);
  assert.equal(first.readyState, 3);
  assert.equal(view.reason, "the server was silent");
});

test("latency by the server's clock", async () => {
  const world = new World({ secure: false });
  const view = world.view();
  view.start();
  const data = binary("jpeg")[0];
  world.socket.say(data);
  await settled();
  assert.equal(view.latencySeconds, null);
  world.pass(600);
  const { sent } = world.socket.sent[0];
  world.now = sent + 40;
  // The server answered half way, 0.1 s after the picture was taken.
  world.socket.say(JSON.stringify({ type: "clock", sent, now_us: parseMessage(data).timestampUs + 100000 }));
  world.socket.say(data);
  await settled();
  assert.ok(Math.abs(view.latencySeconds - 0.12) < 0.001, String(view.latencySeconds));
});

test("stop ends all of it", () => {
  const world = new World();
  const view = world.view();
  view.start();
  world.socket.say(recorded.h264.text);
  view.stop();
  assert.equal(view.state, "stopped");
  assert.equal(world.socket.readyState, 3);
  assert.equal(world.decoders[0].state, "closed");
  assert.deepEqual(world.timers, []);
  world.pass(60000);
  assert.equal(world.sockets.length, 1);
  view.start();
  assert.equal(world.sockets.length, 2);
});
