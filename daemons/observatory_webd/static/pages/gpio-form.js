/* A small form for a method: a field for each parameter, from its description alone. */

import { el, field } from "../kit/dom.js";

/** `act(values, refuse)` does it; `refuse(problem)` shows why it was not done, in the form. */
export function methodForm(method, { title, act }) {
  const fields = method.parameters.map((parameter) => new ParameterField(parameter));
  const refusal = el("p", { class: "bad", role: "alert", hidden: true });
  const refuse = (problem) => {
    refusal.hidden = problem === null;
    refusal.textContent = problem?.detail ?? "";
  };
  const form = el("form", { noValidate: true }, el("p", { class: "hint" }, method.description),
    fields.map((each) => each.element), refusal, el("button", {}, title));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    refuse(null);
    const wrong = fields.map((each) => each.complaint()).find((text) => text !== null);
    if (wrong !== undefined) refuse({ detail: wrong });
    else act(Object.assign({}, ...fields.map((each) => each.values())), refuse);
  });
  return el("details", { class: "method" }, el("summary", {}, title), form);
}

class ParameterField {
  constructor(parameter) {
    this.parameter = parameter;
    this.input = inputOf(parameter);
    this.element = field(parameter.name.replaceAll("_", " "), this.input, { unit: parameter.unit, hint: hintOf(parameter) });
  }

  /** Why it cannot be sent; null if it can. Ranges are checked by the daemon. */
  complaint() {
    const { name, required, unit } = this.parameter;
    if (this.input.validity.badInput) return `${name} must be a number${unit ? ` (${unit})` : ""}.`;
    if (required && this.input.value === "") return `${name} is required.`;
    return null;
  }

  /** {name: value}; nothing for an empty one, which has its default then. */
  values() {
    const { name, type, nullable } = this.parameter;
    const text = this.input.value.trim();
    if (type === "boolean") return { [name]: this.input.checked };
    if (text === "") return nullable ? { [name]: null } : {};
    return { [name]: READERS[type]?.(text) ?? text };
  }
}

const READERS = {
  number: Number,
  integer: Number,
  color: (text) => [1, 3, 5].map((at) => Number((parseInt(text.slice(at, at + 2), 16) / 255).toFixed(3))),
  tone: (text) => (/^\d+$/.test(text) ? Number(text) : text),
};

function inputOf({ type, default: value, minimum, maximum }) {
  if (type === "boolean") return el("input", { type: "checkbox", checked: value === true });
  if (type === "color") return el("input", { type: "color", value: hexOf(value ?? [1, 1, 1]) });
  if (type === "number" || type === "integer") {
    return el("input", { type: "number", min: minimum, max: maximum, step: type === "integer" ? 1 : "any", value: value ?? "" });
  }
  return el("input", { type: "text", value: value ?? "", autocomplete: "off" });
}

function hintOf({ description, type, minimum, maximum, unit, nullable, required }) {
  const bounded = type !== "color" && minimum !== null && maximum !== null;
  const range = bounded ? ` From ${minimum} to ${maximum}${unit ? ` ${unit}` : ""}.` : "";
  const empty = nullable ? " May be left empty." : required ? " Required." : "";
  return `${description}.${range}${empty}`;
}

function hexOf(parts) {
  return `#${parts.map((part) => Math.round(255 * part).toString(16).padStart(2, "0")).join("")}`;
}
