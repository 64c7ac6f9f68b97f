/* What the camera tells of the frames that come: the histogram and the metadata of the latest, while they are shown. */

import { get } from "../kit/api.js";
import { el, field } from "../kit/dom.js";
import { readable } from "./live-format.js";
import { whileSeen } from "./live-seen.js";

const EVERY_MS = 1000;
const CHART_HEIGHT = 140;
const ASINH = 4; // uPlot's scale that shows few and many pixels alike
const LUMA = ["luma", "mono"];

let charts = null;

/** uPlot, which is loaded when the first chart is looked at. */
function chartLibrary() {
  charts ??= new Promise((resolve, reject) => {
    const script = el("script", { src: "/static/vendor/uPlot.iife.min.js" });
    script.addEventListener("load", () => resolve(window.uPlot));
    script.addEventListener("error", () => {
      charts = null;
      reject(new Error("the chart's program cannot be loaded"));
    });
    document.head.append(script);
  });
  return charts;
}

/** A plane's colour, by the first letter of its name; the page's text where it has none. */
function colourOf(plane) {
  const variable = { r: "--bad", g: "--good", b: "--accent" }[LUMA.includes(plane) ? "" : plane[0].toLowerCase()] ?? "--text";
  return getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
}

/** The histogram of the next frame, again and again while it is seen. */
export function histogramPanel(camera, label) {
  const stream = el("select", {}, el("option", { value: "live" }, "live picture"));
  const place = el("div", { class: "live-chart", role: "img", "aria-label": `Histogram of ${label}; its figures are in the table below` });
  const body = el("tbody");
  const head = ["Plane", "Mean", "Saturated"].map((text, index) => el("th", { scope: "col", class: index ? "number" : null }, text));
  const table = el("table", {}, el("thead", {}, el("tr", {}, head)), body);
  const trouble = el("p", { class: "warn", hidden: true });
  const choose = field("Histogram of", stream);
  const element = el("div", {}, choose, place, table, trouble);
  let chart = null;
  let drawnFor = null;

  const draw = (uPlot, { counts, largest, bins }) => {
    const planes = Object.keys(counts);
    const tones = Array.from({ length: bins }, (_, bin) => (bin * (largest + 1)) / bins);
    const data = [tones, ...planes.map((plane) => counts[plane])];
    const wanted = `${planes} ${largest} ${document.documentElement.dataset.theme}`;
    if (chart && drawnFor === wanted) {
      chart.setData(data);
      return;
    }
    chart?.destroy();
    drawnFor = wanted;
    chart = new uPlot(chartOptions(planes, place.clientWidth), data, place);
  };
  new ResizeObserver(() => place.clientWidth && chart?.setSize({ width: place.clientWidth, height: CHART_HEIGHT })).observe(place);

  const failed = (problem) => {
    trouble.hidden = false;
    trouble.textContent = problem.detail;
  };
  const look = async () => {
    if (!camera.fresh || !camera.capabilities) return;
    const found = await get(`${camera.path("histogram")}?stream=${stream.value}`);
    draw(await chartLibrary(), found);
    body.replaceChildren(...Object.keys(found.counts).map((plane) => row(plane, found)));
    element.dataset.frame = found.frame;
    trouble.hidden = true;
  };
  whileSeen(element, EVERY_MS, look, failed);
  const offerRaw = () => {
    const offered = stream.options.length > 1;
    if (!offered && camera.status?.streams?.raw) stream.append(el("option", { value: "raw" }, "raw frame"));
    choose.hidden = stream.options.length < 2;
  };
  camera.on("status", offerRaw);
  return element;
}

function row(plane, { means, saturated, largest }) {
  const share = saturated[plane];
  const percent = `${(100 * share).toFixed(share && share < 0.001 ? 3 : 1)} %`;
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, plane),
    el("td", { class: "number" }, `${means[plane].toFixed(1)} of ${largest}`),
    el("td", { class: `number ${share > 0.01 ? "warn" : ""}` }, percent),
  );
}

function chartOptions(planes, width) {
  const quiet = getComputedStyle(document.documentElement).getPropertyValue("--quiet").trim();
  const line = getComputedStyle(document.documentElement).getPropertyValue("--line").trim();
  const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  return {
    width,
    height: CHART_HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false }, y: { distr: ASINH, range: (_, low, high) => [0, Math.max(high, 1)] } },
    axes: [axis, { ...axis, show: false }],
    series: [
      {},
      ...planes.map((plane) => ({
        stroke: colourOf(plane),
        width: LUMA.includes(plane) ? 2 : 1,
        dash: LUMA.includes(plane) ? [4, 3] : undefined,
        points: { show: false },
      })),
    ],
  };
}

/** The metadata of the latest frame, again and again while they are seen. */
export function metadataPanel(camera, label) {
  const body = el("tbody");
  const caption = el("caption", { class: "quiet-text" }, `Latest frame of ${label}`);
  const table = el("table", {}, caption, body);
  const element = el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": `Metadata of ${label}` }, table);
  whileSeen(element, EVERY_MS, async () => {
    if (!camera.fresh) return;
    const rows = readable(await get(camera.path("metadata")), camera.controls);
    body.replaceChildren(...rows.map(([name, text]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "number" }, text))));
  });
  return element;
}
