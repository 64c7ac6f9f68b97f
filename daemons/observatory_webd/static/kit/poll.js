/* What no event tells is asked for again and again, while somebody sees the page. */

import { Problem } from "./api.js";
import { el, formatClock } from "./dom.js";

/**
 * Call `ask` (answers a promise) now and every `everyMs` milliseconds, and hand what it answers to `onData`, why it was refused
 * to `onTrouble` (null: no longer). Answers a function that asks at once, as after an action of one's own.
 */
export function polled(ask, everyMs, onData, onTrouble = () => {}) {
  let timer = null;
  let asking = false;
  let wanted = false;

  async function look() {
    wanted = true;
    if (asking) return;
    asking = true;
    clearTimeout(timer);
    try {
      while (wanted) {
        wanted = false;
        try {
          const answer = await ask();
          onTrouble(null);
          onData(answer);
        } catch (error) {
          if (!(error instanceof Problem)) throw error;
          onTrouble(error);
        }
      }
    } finally {
      asking = false;
      if (document.visibilityState === "visible") timer = setTimeout(look, everyMs);
    }
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.visibilityState === "visible") look();
  });
  look();
  return look;
}

/** A line that says why something cannot be read, and since when; `trouble(problem or null)` for `polled`. */
export function troubleLine(what) {
  let readAt = null;
  const element = el("p", { class: "away", role: "status", hidden: true });
  const trouble = (problem) => {
    element.hidden = problem === null;
    if (problem === null) readAt = new Date();
    const old = readAt ? ` What is shown is of ${formatClock(readAt)}.` : "";
    say(element, problem ? `${what} cannot be read: ${problem.detail}.${old}` : "");
  };
  return { element, trouble };
}

/** Set a text, if it is another: a text that stays can be selected, and is not read out again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
