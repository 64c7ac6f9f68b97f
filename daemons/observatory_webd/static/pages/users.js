/* Users: who may do what here, passwords, and the tokens of everybody. Administrators alone see it. */

import { get, post } from "../kit/api.js";
import { attempt, confirmed, el, field, formatTime, note } from "../kit/dom.js";
import { limitsOf } from "../kit/limits.js";
import { polled, troubleLine } from "../kit/poll.js";
import { liveTable } from "../kit/table.js";
import { passwordInput, suggested } from "./users-password.js";
import { tokenTable } from "./tokens.js";

const EVERY_MS = 3000;
const place = document.querySelector("#users");
const me = place.dataset.user;
const limits = await attempt(limitsOf("NewUser", "GivenPassword")) ?? { NewUser: {}, GivenPassword: {} };
const roles = limits.NewUser.role?.enum ?? ["viewer", "operator", "administrator"];
const pathOfUser = (name, what) => `/users/${encodeURIComponent(name)}/${what}`;

const table = liveTable({
  label: "Users",
  keyOf: (user) => user.user,
  empty: "There is no user.",
  columns: [
    { title: "Name", text: (user) => (user.user === me ? `${user.user} (you)` : user.user), tone: () => "name" },
    { title: "Password", text: (user) => (user.must_change_password ? "given, must be changed" : "own"), tone: (user) => (user.must_change_password ? "warn" : null) },
    { title: "Last login", text: (user) => (user.last_login ? formatTime(user.last_login) : "none known") },
    { title: "Made", text: (user) => formatTime(user.created) },
    { title: "Role", make: roleForm, refresh: (user, cell) => cell.querySelector("form").follow(user) },
    { title: "Actions", make: actions },
  ],
});

function roleForm(latest) {
  const select = el("select", { "aria-label": `Role of ${latest().user}` }, roles.map((role) => el("option", { value: role }, role)));
  const button = el("button", { type: "submit", class: "second" }, "Set");
  let known = latest().role;
  const mark = () => { button.disabled = select.value === known; };
  const form = el("form", { class: "row", "aria-label": `Role of ${latest().user}` }, select, button);
  select.value = known;
  select.addEventListener("change", mark);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const user = await attempt(post(pathOfUser(latest().user, "role"), { role: select.value }));
    if (user) note(`${user.user} is ${user.role} now.`);
    else select.value = known;
    await look();
  });
  // what another administrator changes appears here, unless somebody is choosing
  form.follow = (user) => {
    if (select.value === known) select.value = user.role;
    known = user.role;
    mark();
  };
  mark();
  return form;
}

function actions(latest) {
  const remove = el("button", { type: "button", class: "second", "aria-label": `Remove ${latest().user}`, on: { click: () => removeUser(latest()) } }, "Remove");
  const give = latest().user === me
    ? el("a", { class: "button second", href: "/password" }, "Change my password")
    : el("button", { type: "button", class: "second", "aria-label": `Give ${latest().user} a password`, on: { click: () => givePassword(latest()) } }, "Give a password");
  return el("div", { class: "row" }, give, remove);
}

async function removeUser({ user }) {
  const details = [`All logins, tokens and streams of ${user} end at once.`];
  if (user === me) details.push("That is you.");
  if (!(await confirmed(`Remove ${user}?`, { agree: `Remove ${user}`, details }))) return;
  if (await attempt(post(pathOfUser(user, "remove")))) note(`${user} is removed.`);
  look();
}

async function givePassword({ user }) {
  const input = passwordInput(limits.GivenPassword.password);
  const details = [
    `All logins and tokens of ${user} end. Tell ${user} this password: it has to be changed at the next login.`,
    el("span", {}, field(`New password of ${user}`, input, { hint: input.hint }), suggested(input)),
  ];
  if (!(await confirmed(`Give ${user} a password?`, { agree: "Give it", details }))) return;
  if (await attempt(post(pathOfUser(user, "password"), { password: input.value }))) note(`${user} has the new password.`);
  look();
}

function newUserForm() {
  const name = el("input", { type: "text", maxLength: limits.NewUser.user?.maxLength ?? 60, required: true, autocomplete: "off", spellcheck: false, autocapitalize: "none" });
  const role = el("select", {}, roles.map((one) => el("option", { value: one }, one)));
  const password = passwordInput(limits.NewUser.password);
  const button = el("button", { type: "submit" }, "Make the user");
  const form = el("form", { "aria-label": "New user" },
    el("div", { class: "line" },
      field("Name", name, { hint: `Letters, digits, _ . @ -; at most ${name.maxLength}` }),
      field("Role", role),
      field("First password", password, { hint: `${password.hint}; to be changed at the first login` })),
    el("div", { class: "row" }, button, suggested(password)));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    const user = await attempt(post("/users", { user: name.value, role: role.value, password: password.value }));
    button.disabled = false;
    if (!user) return;
    note(`${user.user} is made, as ${user.role}. Tell the first password to ${user.user}.`);
    form.reset();
    look();
  });
  return form;
}

function panel(title, hint, ...content) {
  return el("section", { class: "panel", "aria-label": title }, el("h2", {}, title), hint ? el("p", { class: "hint" }, hint) : null, content);
}

const tokens = tokenTable({ everybodys: true, changed: () => look() });
const line = troubleLine("The users");
place.append(
  line.element,
  panel("Users", "A viewer looks; an operator also moves, takes and deletes; an administrator also does what is on this page. A change counts at once.", table.element),
  panel("New user", null, newUserForm()),
  panel("Tokens", "Scripts use them in place of a login; each user makes them on the page Account.", tokens.element),
);

const look = polled(
  () => Promise.all([get("/users"), get("/tokens?everybodys=true")]),
  EVERY_MS,
  ([users, kept]) => {
    table.update(users);
    tokens.update(kept);
  },
  line.trouble,
);
