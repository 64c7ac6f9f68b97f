/* The table of scripts' tokens, on the pages Account (one's own) and Users (everybody's). */

import { post } from "../kit/api.js";
import { attempt, confirmed, el, formatTime, note } from "../kit/dom.js";
import { liveTable } from "../kit/table.js";

/** `everybodys`: of all users, which an administrator may end; `changed()` is called after one has been ended. */
export function tokenTable({ everybodys, changed }) {
  const owner = everybodys ? [{ title: "User", text: (token) => token.user }] : [];
  return liveTable({
    label: "Tokens",
    keyOf: (token) => token.id,
    empty: everybodys ? "Nobody has a token." : "You have no token.",
    columns: [
      { title: "What for", text: (token) => token.label, tone: () => "name" },
      ...owner,
      { title: "Role", text: (token) => token.role },
      { title: "Made", text: (token) => formatTime(token.created) },
      { title: "Ends", text: expiry, tone: (token) => (hasEnded(token) ? "warn" : null) },
      { title: "Last used", text: (token) => (token.used ? formatTime(token.used) : "never") },
      { title: "Revoke", make: (latest) => revokeButton(latest), refresh: (token, cell) => name(token, cell) },
    ],
  });

  function name(token, cell) {
    cell.querySelector("button").setAttribute("aria-label", `Revoke ${token.label}${everybodys ? ` of ${token.user}` : ""}`);
  }

  function revokeButton(latest) {
    return el("button", { type: "button", class: "second", on: { click: () => revoke(latest()) } }, "Revoke");
  }

  async function revoke(token) {
    const whose = everybodys ? ` of ${token.user}` : "";
    const details = ["Scripts that use it are refused from then on, and their streams end."];
    if (!(await confirmed(`Revoke the token ${token.label}${whose}?`, { agree: "Revoke it", details }))) return;
    const done = await attempt(post(`/tokens/${token.id}/revoke${everybodys ? "?everybodys=true" : ""}`));
    if (done) note(`The token ${token.label} is revoked.`);
    changed();
  }
}

const hasEnded = (token) => token.expires !== null && new Date(token.expires) <= new Date();

function expiry(token) {
  if (token.expires === null) return "when it is revoked";
  return hasEnded(token) ? `has ended ${formatTime(token.expires)}` : formatTime(token.expires);
}
