/* System: the gateway, the daemons behind it, who looks at which stream, the machines. It asks every two seconds. */

import { get } from "../kit/api.js";
import { el, formatBytes, formatTime } from "../kit/dom.js";
import { polled, say, troubleLine } from "../kit/poll.js";
import { liveTable } from "../kit/table.js";
import { Rates } from "./system-rates.js";

const EVERY_MS = 2000;
const TRANSPORTS = { mjpeg: "MJPEG", "ws-jpeg": "WebSocket, JPEG", "ws-h264": "WebSocket, H.264" };
const UNKNOWN = "unknown";

const rates = new Rates();
const labels = new Map(); // of cameras, by name
let gatewayVersion = null;

const short = (id) => (id ? id.slice(0, 8) : UNKNOWN);
const differs = (daemon) => Boolean(daemon.software_version) && daemon.software_version !== gatewayVersion;
const trouble = (daemon) => daemon.error ?? daemon.last_error;
const perSecond = (rate) => (rate === null ? "-" : rate.toFixed(1));
const single = (network) => network.replace(network.includes(":") ? /\/128$/ : /\/32$/, ""); // one address is no network
const cameraLabel = (name) => labels.get(name) ?? name;

const daemons = liveTable({
  label: "Daemons",
  keyOf: (daemon) => `${daemon.kind}/${daemon.name}`,
  empty: "webd's configuration names no daemon.",
  columns: [
    { title: "Daemon", text: (daemon) => daemon.label, tone: () => "name" },
    { title: "Kind", text: (daemon) => (daemon.name === daemon.label ? daemon.kind : `${daemon.kind} ${daemon.name}`) },
    { title: "State", text: (daemon) => (daemon.reachable ? daemon.state ?? UNKNOWN : "away"), tone: (daemon) => (daemon.reachable ? "good" : "bad") },
    { title: "Since", text: (daemon) => formatTime(daemon.since) },
    { title: "Address", text: (daemon) => `${daemon.host}:${daemon.port}` },
    { title: "Version", text: versionText, tone: (daemon) => (differs(daemon) ? "warn" : null) },
    { title: "Run", text: (daemon) => short(daemon.boot_id) },
    { title: "Disk free", text: (daemon) => (daemon.kind === "camera" ? formatBytes(daemon.free_bytes) : "-"), number: true },
    { title: "Last error", text: problemText, tone: (daemon) => (trouble(daemon) ? "bad" : "quiet-text") },
  ],
});

const streams = liveTable({
  label: "Streams",
  keyOf: (stream) => `${stream.camera}/${stream.stream}/${stream.codec}`,
  empty: "Nobody looks at a camera.",
  columns: [
    { title: "Camera", text: (stream) => cameraLabel(stream.camera), tone: () => "name" },
    { title: "Stream", text: (stream) => `${stream.stream}, ${stream.codec}` },
    { title: "Viewers", text: (stream) => String(stream.viewers), number: true },
    { title: "Frames/s", text: (stream) => perSecond(stream.rate), number: true },
    { title: "Skipped", text: (stream) => String(stream.skipped), number: true },
  ],
});

const viewers = liveTable({
  label: "Viewers",
  keyOf: (viewer) => viewer.id,
  empty: "Nobody looks at a camera.",
  columns: [
    { title: "User", text: (viewer) => viewer.user ?? "not logged in", tone: () => "name" },
    { title: "Address", text: (viewer) => viewer.address ?? UNKNOWN },
    { title: "Looks at", text: (viewer) => `${cameraLabel(viewer.camera)}, ${viewer.stream}` },
    { title: "By", text: (viewer) => TRANSPORTS[viewer.transport] ?? viewer.transport },
    { title: "Since", text: (viewer) => formatTime(viewer.since) },
    { title: "Frames/s", text: (viewer) => perSecond(viewer.rate), number: true },
    { title: "Skipped", text: (viewer) => String(viewer.skipped), number: true },
  ],
});

const machines = liveTable({
  label: "Machines",
  keyOf: (machine) => machine.name,
  empty: "The registry names no machine.",
  columns: [
    { title: "Machine", text: (machine) => machine.name, tone: () => "name" },
    { title: "Addresses", text: (machine) => machine.addresses.map(single).join(", ") },
  ],
});

function versionText(daemon) {
  if (!daemon.software_version) return UNKNOWN;
  return differs(daemon) ? `${daemon.software_version} (webd has ${gatewayVersion})` : daemon.software_version;
}

function problemText(daemon) {
  const nameless = daemon.names_users === false ? "Its audit names no users: this machine is none of its gateway_machines." : null;
  return [trouble(daemon), nameless].filter(Boolean).join(" ") || "none";
}

const facts = new Map();

function fact(name) {
  const value = el("dd", {}, UNKNOWN);
  facts.set(name, value);
  return [el("dt", {}, name), value];
}

const hidden = el("p", { class: "hint", hidden: true }, "Who looks, and from where, is shown to operators.");
const differing = el("p", { class: "warn", role: "status", hidden: true });
const line = troubleLine("The system");

function panel(title, ...content) {
  return el("section", { class: "panel", "aria-label": title }, el("h2", {}, title), content);
}

document.querySelector("#system").append(
  line.element,
  panel("Daemons", differing, daemons.element),
  panel("Streams", streams.element),
  panel("Viewers", hidden, viewers.element),
  el("div", { class: "pair" },
    panel("Gateway", el("dl", {}, ["Instance", "Version", "Started", "Run", "Streams without a login", "Pages that listen", "Read at"].flatMap((name) => fact(name)))),
    panel("Machines", machines.element)),
);

function show(system) {
  gatewayVersion = system.software_version;
  for (const daemon of system.daemons) if (daemon.kind === "camera") labels.set(daemon.name, daemon.label);
  const others = system.daemons.filter(differs);
  differing.hidden = others.length === 0;
  say(differing, others.length ? `Not all have webd's version ${gatewayVersion}: ${others.map((daemon) => `${daemon.label} has ${daemon.software_version}`).join(", ")}.` : "");
  daemons.update(system.daemons);
  rates.begin(system.date);
  streams.update(system.streams.map((stream) => ({ ...stream, rate: rates.of(`${stream.camera}/${stream.stream}/${stream.codec}`, stream.items) })));
  hidden.hidden = system.viewers !== null;
  viewers.element.hidden = system.viewers === null;
  viewers.update((system.viewers ?? []).map((viewer) => ({ ...viewer, rate: rates.of(viewer.id, viewer.sent) })));
  rates.end();
  machines.update(system.machines);
  say(facts.get("Instance"), system.instance);
  say(facts.get("Version"), system.software_version);
  say(facts.get("Started"), formatTime(system.started));
  say(facts.get("Run"), short(system.boot_id));
  say(facts.get("Streams without a login"), system.public_streams ? "yes: everybody may look at the cameras" : "no");
  facts.get("Streams without a login").className = system.public_streams ? "warn" : "";
  say(facts.get("Pages that listen"), String(system.listeners));
  say(facts.get("Read at"), formatTime(system.date));
}

polled(() => get("/system"), EVERY_MS, show, line.trouble);
