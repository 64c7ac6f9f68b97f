/* What libcamera's controls are called, where they belong, and which of them another one rules. The camera itself says which it
 * has, and their ranges, units, defaults and values; one that is unknown here is among "Other". */

const GROUPS = [
  ["Exposure and gain", ["AeEnable", "ExposureTimeMode", "ExposureTime", "AnalogueGainMode", "AnalogueGain", "ExposureValue", "AeMeteringMode",
    "AeConstraintMode", "AeExposureMode", "AeFlickerMode", "AeFlickerPeriod"]],
  ["White balance", ["AwbEnable", "AwbMode", "ColourTemperature", "ColourGains", "ColourCorrectionMatrix"]],
  ["Picture", ["Brightness", "Contrast", "Saturation", "Sharpness", "Gamma"]],
  ["Focus", ["AfMode", "LensPosition", "FocusAbsolute", "AfTrigger", "AfPause", "AfRange", "AfSpeed", "AfMetering", "AfWindows"]],
  ["Noise and HDR", ["NoiseReductionMode", "HdrMode"]],
  ["Frame rate", ["FrameDurationLimits", "FrameDuration"]],
  ["Part of the sensor", ["ScalerCrop", "ScalerCrops"]],
];
const OTHER = "Other";
const WORDS = { Ae: "Auto exposure", Af: "Autofocus", Hdr: "HDR", Ev: "EV" };
const LABELS = {
  AeEnable: "Auto exposure and gain",
  AeMeteringMode: "Auto exposure looks at",
  AeConstraintMode: "Auto exposure protects",
  AeExposureMode: "Auto exposure prefers",
  AeFlickerMode: "Flicker of lamps",
  AeFlickerPeriod: "Period of the flicker",
  AwbEnable: "Auto white balance",
  AwbMode: "White balance for",
  AfMode: "Who focuses",
  AfTrigger: "Autofocus scan",
  ColourGains: "Colour gains",
  FrameDurationLimits: "Duration of a frame",
  ScalerCrop: "Part that is seen",
};
const RECTANGLE = ["x", "y", "width", "height"];
const PARTS = { ColourGains: ["red", "blue"], FrameDurationLimits: ["shortest", "longest"], ScalerCrop: RECTANGLE, AfWindows: RECTANGLE };
const LOGARITHMIC_FROM = 1000; // times the smallest value, where that is above zero

const AUTO_EXPOSURE = "AeEnable";
const AUTO_WHITE_BALANCE = "AwbEnable";
/** Exposure and gain: zero hands them back to the camera. */
const HANDED_BACK_BY_ZERO = ["ExposureTime", "AnalogueGain"];
/** These begin or end something: they have no value that lasts. */
const MOMENTARY = ["AfTrigger", "AfPause"];

/* Without effect ("idle") or refused ("refused") while another control has not one of these values; as the daemon does it. */
const RULES = {
  ExposureValue: { by: AUTO_EXPOSURE, needs: [true], idle: true },
  AeMeteringMode: { by: AUTO_EXPOSURE, needs: [true], idle: true },
  AeConstraintMode: { by: AUTO_EXPOSURE, needs: [true], idle: true },
  AeExposureMode: { by: AUTO_EXPOSURE, needs: [true], idle: true },
  AeFlickerMode: { by: AUTO_EXPOSURE, needs: [true], idle: true },
  AeFlickerPeriod: { by: "AeFlickerMode", needs: [1], idle: true },
  AwbMode: { by: AUTO_WHITE_BALANCE, needs: [true], idle: true },
  LensPosition: { by: "AfMode", needs: [0] },
  AfTrigger: { by: "AfMode", needs: [1] },
  AfPause: { by: "AfMode", needs: [2], idle: true },
  AfWindows: { by: "AfMetering", needs: [1] },
};

/** The groups of these controls: [title, names], in the order of libcamera's documentation; none is empty. */
export function grouped(names) {
  const left = new Set(names);
  const groups = GROUPS.map(([title, members]) => [title, members.filter((name) => left.delete(name))]);
  return [...groups, [OTHER, [...left].sort()]].filter(([, members]) => members.length > 0);
}

/** A name as people read it: "NoiseReductionMode" -> "Noise reduction mode". */
export function labelOf(name) {
  if (LABELS[name]) return LABELS[name];
  const [first, ...more] = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").split(/[\s_]+/);
  return [WORDS[first] ?? first, ...more.map((word) => (word === word.toUpperCase() ? word : word.toLowerCase()))].join(" ");
}

/** What the numbers of a control with several are called. */
export function partsOf(name, count) {
  return PARTS[name] ?? Array.from({ length: count }, (_, index) => String(index + 1));
}

/** Whether a slider goes by factors. */
export function isLogarithmic(info) {
  return info.minimum > 0 && info.maximum / info.minimum >= LOGARITHMIC_FROM;
}

/** Whether a control starts or ends something. */
export function isMomentary(name) {
  return MOMENTARY.includes(name);
}

/** What rules this control now, if anything: { text, refused }. */
export function ruledBy(name, controls) {
  const rule = RULES[name];
  if (!rule || !controls[rule.by] || rule.needs.includes(effective(rule.by, controls))) return null;
  const words = Object.entries(controls[rule.by].values).filter(([, value]) => rule.needs.includes(value)).map(([word]) => word);
  const state = words.length ? `is not ${words.join(" or ")}` : "is off";
  return { text: `No effect while “${labelOf(rule.by)}” ${state}.`, refused: !rule.idle };
}

/** What a control is set to, or else its default. Fixed colour gains mean no auto white balance, whoever set them. */
export function effective(name, controls) {
  const info = controls[name];
  if (!info) return null;
  if (name === AUTO_WHITE_BALANCE && info.value === null && controls.ColourGains?.value?.every(Boolean)) return false;
  return info.value ?? info.default;
}

/** What chooses a control's value now: "auto exposure", "auto white balance", "autofocus"; null if it is fixed. */
export function chosenBy(name, controls) {
  const { value } = controls[name];
  if (HANDED_BACK_BY_ZERO.includes(name)) return !value && effective(AUTO_EXPOSURE, controls) ? "auto exposure" : null;
  const gains = name === "ColourGains" && value?.every(Boolean);
  if (["ColourGains", "ColourTemperature"].includes(name) && !gains && effective(AUTO_WHITE_BALANCE, controls)) return "auto white balance";
  return name === "LensPosition" && effective("AfMode", controls) ? "autofocus" : null;
}

/** What gives a control back to the camera, or to its default. Exposure and gain are given back together, see docs/camerad.md. */
export function backText(name, controls) {
  if (HANDED_BACK_BY_ZERO.includes(name)) return controls[AUTO_EXPOSURE] ? "Automatic exposure and gain" : "Automatic";
  return name === "ColourGains" ? "Automatic" : "Default";
}

/** The calls, one after the other, that set a control: [path below the camera, body]. The daemon's own `exposure` and `gain` take
 * care of auto exposure and of frames that are long enough. */
export function callsFor(name, value, controls, timeoutS) {
  const set = (values) => ["controls", { values, timeout_s: timeoutS }];
  if (name === "ExposureTime" && value > 0 && controls[name].unit === "us") return [["exposure", { exposure_s: value / 1e6, timeout_s: timeoutS }]];
  if (name === "AnalogueGain" && value > 0) return [["gain", { gain: value, timeout_s: timeoutS }]];
  const manual = ["ColourGains", "ColourTemperature"].includes(name) && controls[AUTO_WHITE_BALANCE];
  if (manual) return [set({ [AUTO_WHITE_BALANCE]: false, [name]: value })];
  if (name === AUTO_WHITE_BALANCE && value && controls.ColourGains?.value) return [set({ ColourGains: [0, 0] }), set({ [name]: true })];
  return [set({ [name]: value })];
}

/** The calls that bring these controls back to what the camera begins with. */
export function callsForDefaults(names, controls, timeoutS) {
  const calls = [];
  const values = {};
  for (const name of names) {
    const { default: usual } = controls[name];
    if (isMomentary(name) || usual === null) continue;
    if (HANDED_BACK_BY_ZERO.includes(name) && controls[AUTO_EXPOSURE]) values[AUTO_EXPOSURE] = true;
    else if (name === "ColourGains" && controls[AUTO_WHITE_BALANCE]) calls.push(...callsFor(AUTO_WHITE_BALANCE, true, controls, timeoutS));
    else values[name] = usual;
  }
  if (values.LensPosition !== undefined && controls.AfMode) values.AfMode = 0;
  if (Object.keys(values).length) calls.push(["controls", { values, timeout_s: timeoutS }]);
  return calls;
}
