/* Whose page this is. Another tab may log in somebody else, and an administrator may change a role: then the page is made anew. */

import { el, madeFor, note } from "./dom.js";

const RELOADS_EVERY_MS = 30000;
const TEXTS = 'textarea, select, input:not([type="checkbox"], [type="radio"], [type="range"], [type="button"], [type="submit"])';

/** Send this login's token from now on. */
export function useToken(token) {
  document.querySelector('meta[name="csrf-token"]').content = token ?? "";
}

/** Whether the page is still its user's, with the same role. If not it is loaded anew, or the user is asked to who is typing. */
export function isStill({ user, role, must_change_password: unfinished = false }) {
  if (user === madeFor("user") && role === madeFor("role") && !unfinished) return true;
  if (isTyping() || !mayReload()) ask(`You are ${user} (${role}) now; this page was made for ${madeFor("user")} (${madeFor("role")}).`);
  else location.reload();
  return false;
}

const typedIn = new Set();
document.addEventListener("input", ({ target }) => target.matches(TEXTS) && typedIn.add(target), true);
document.addEventListener("submit", ({ target }) => typedIn.forEach((one) => target.contains(one) && typedIn.delete(one)), true);

function isTyping() {
  return document.querySelector("dialog[open]") !== null || [...typedIn].some((one) => one.isConnected && one.value !== "");
}

/** Not again and again, whatever the server says. */
function mayReload() {
  try {
    const last = Number(sessionStorage.getItem("reloaded"));
    sessionStorage.setItem("reloaded", String(Date.now()));
    return Date.now() - last > RELOADS_EVERY_MS;
  } catch {
    return false; // a browser may keep nothing
  }
}

let asked = null;

function ask(text) {
  if (!asked?.isConnected) {
    const reload = el("button", { type: "button", on: { click: () => location.reload() } }, "Reload");
    asked = el("span", { class: "row" }, el("span", {}), reload);
    note(asked, "bad");
  }
  asked.firstChild.textContent = text;
}
