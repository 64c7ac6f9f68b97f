/* A password that is given to somebody: shown, since it has to be told, and perhaps suggested by chance. */

import { el } from "../kit/dom.js";

const LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"; // 32, without those that look alike
const SUGGESTED_LENGTH = 16;

/** An input for it; `limits` are the API's, and `hint` says them. */
export function passwordInput(limits = {}) {
  const input = el("input", { type: "text", required: true, autocomplete: "off", spellcheck: false, autocapitalize: "none" });
  if (limits.minLength) input.minLength = limits.minLength;
  if (limits.maxLength) input.maxLength = limits.maxLength;
  input.hint = limits.minLength ? `${limits.minLength} to ${limits.maxLength} characters` : "";
  return input;
}

/** A button that fills it. */
export function suggested(input) {
  const fill = () => {
    const chosen = crypto.getRandomValues(new Uint8Array(SUGGESTED_LENGTH));
    input.value = Array.from(chosen, (byte) => LETTERS[byte % LETTERS.length]).join("").replace(/(.{4})(?=.)/g, "$1-");
    input.focus();
  };
  return el("button", { type: "button", class: "second", on: { click: fill } }, "Suggest a password");
}
