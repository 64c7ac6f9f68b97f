/* Account: who is logged in here, the own password, the own tokens for scripts. */

import { get, post } from "../kit/api.js";
import { attempt, el, field, note } from "../kit/dom.js";
import { limitsOf } from "../kit/limits.js";
import { polled, say, troubleLine } from "../kit/poll.js";
import { tokenTable } from "./tokens.js";

const EVERY_MS = 3000;
const place = document.querySelector("#account");
const { NewToken: limits } = await attempt(limitsOf("NewToken")) ?? { NewToken: {} };
const roles = limits.role?.enum ?? ["viewer", "operator", "administrator"];

const role = el("dd", {}, "unknown");
const roleChoice = el("select", {});
const tokens = tokenTable({ everybodys: false, changed: () => look() });
const secret = el("div", { class: "secret", role: "status", hidden: true });
const line = troubleLine("The account");

/** A token may at most what its user may, so no more is offered. */
function offerRoles(own) {
  const offered = roles.slice(0, roles.indexOf(own) + 1);
  const have = Array.from(roleChoice.options, (option) => option.value);
  if (offered.join() === have.join()) return;
  const chosen = roleChoice.value;
  roleChoice.replaceChildren(...offered.map((one) => el("option", { value: one }, one)));
  if (offered.includes(chosen)) roleChoice.value = chosen;
}

function newTokenForm() {
  const { label: labels = {}, days: { above, maximum } = {} } = limits;
  const label = el("input", { type: "text", required: true, maxLength: labels.maxLength ?? 80, autocomplete: "off" });
  const days = el("input", { type: "number", step: "any", min: above, max: maximum, inputMode: "decimal" });
  const range = maximum === undefined ? "" : `More than ${above}, at most ${maximum}; empty`;
  const button = el("button", { type: "submit" }, "Make the token");
  const form = el("form", { "aria-label": "New token" },
    el("div", { class: "line" },
      field("What for", label, { hint: `At most ${label.maxLength} characters` }),
      field("Role of the token", roleChoice, { hint: "The most that it may" }),
      field("Lasts", days, { unit: "days", hint: `${range || "Empty"}: until it is revoked` })),
    el("div", { class: "row" }, button));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    const body = { label: label.value, role: roleChoice.value, days: days.value === "" ? null : days.valueAsNumber };
    const made = await attempt(post("/tokens", body));
    button.disabled = false;
    if (!made) return;
    form.reset();
    showSecret(made);
    look();
  });
  return form;
}

/** The one time that a secret is told. */
function showSecret(made) {
  const text = el("input", { type: "text", readOnly: true, value: made.secret, "aria-label": `Secret of ${made.label}`, on: { focus: () => text.select() } });
  const copied = el("span", { class: "hint", role: "status" });
  const copy = el("button", { type: "button", on: { click: async () => say(copied, await copyOf(text)) } }, "Copy");
  const done = el("button", { type: "button", class: "second", on: { click: () => { secret.hidden = true; secret.replaceChildren(); } } }, "I have kept it");
  secret.replaceChildren(
    el("p", {}, `The secret of ${made.label}. It is shown this once: keep it now.`),
    el("div", { class: "row" }, text, copy, done, copied),
    el("p", { class: "hint" }, "For example:"),
    el("code", {}, `curl -H "Authorization: Bearer ${made.secret}" ${location.origin}/api/v1/system`));
  secret.hidden = false;
  text.focus();
}

/** Copy an input's text, by whatever the browser allows here: pages without TLS have no clipboard of their own. */
async function copyOf(input) {
  input.select();
  try {
    await navigator.clipboard.writeText(input.value);
    return "Copied.";
  } catch {
    if (document.execCommand("copy")) return "Copied.";
    return "It is selected: copy it by the keyboard or the menu.";
  }
}

place.append(
  line.element,
  el("section", { class: "panel", "aria-label": "You" },
    el("h2", {}, "You"),
    el("dl", { class: "facts" }, el("dt", {}, "Name"), el("dd", { class: "name" }, place.dataset.user), el("dt", {}, "Role here"), role),
    el("div", { class: "row" },
      el("a", { class: "button second", href: "/password" }, "Change the password"),
      el("a", { class: "button second", href: "/logout" }, "Log out here"))),
  el("section", { class: "panel", "aria-label": "Tokens" },
    el("h2", {}, "Tokens"),
    el("p", { class: "hint" }, "A script sends one in place of a login, and may with it what its role says, never more than you."),
    tokens.element),
  el("section", { class: "panel", "aria-label": "New token" }, el("h2", {}, "New token"), newTokenForm(), secret),
);

const look = polled(
  () => Promise.all([get("/session"), get("/tokens")]),
  EVERY_MS,
  ([session, kept]) => {
    say(role, session.role);
    offerRoles(session.role);
    tokens.update(kept);
  },
  line.trouble,
);
