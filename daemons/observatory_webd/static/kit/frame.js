/* What all pages have: the theme's button and the line that says that the server is away. */

import { say } from "./poll.js";
import { statuses } from "./status.js";

const THEMES = { dark: "Dark", red: "Red", light: "Light" };
const PATIENCE_MS = 3000;

const button = document.querySelector("#theme");
const shownTheme = () => document.documentElement.dataset.theme;
button.textContent = THEMES[shownTheme()];
button.hidden = false; // not before it does something
button.addEventListener("click", () => {
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(shownTheme()) + 1) % names.length];
  document.documentElement.dataset.theme = next;
  button.textContent = THEMES[next];
  try {
    localStorage.setItem("theme", next);
  } catch {
    // a browser may keep nothing; then it holds for this page
  }
  document.dispatchEvent(new Event("theme"));
});

const banner = document.querySelector("#connection");
let lostAt = performance.now();
statuses.addEventListener("connection", () => {
  if (statuses.connected) lostAt = null;
  else lostAt ??= performance.now();
  const lost = lostAt !== null && performance.now() - lostAt > PATIENCE_MS && document.visibilityState === "visible";
  banner.hidden = !lost;
  say(banner, lost ? "The server is away; what is shown is old. This page tries again by itself." : "");
});
