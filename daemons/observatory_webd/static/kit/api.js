/* Calls of /api/v1. Every refusal is a Problem, whose `detail` is for the user. */

import { madeFor } from "./dom.js";
import { isStill, useToken } from "./session.js";

export const ROOT = "/api/v1";
const WITHIN_MS = 30000;
const TOKEN_HEADER = "X-CSRF-Token";
const SESSION = "/session";
const RENEWED_WITHIN_MS = 500;

export class Problem extends Error {
  constructor(status, content) {
    super(content.detail ?? content.title ?? `the server answered ${status}`);
    this.status = status;
    this.detail = this.message;
    Object.assign(this, { title: content.title, code: content.code, allowed: content.allowed });
  }
}

/** The answer of GET ROOT + path. */
export function get(path, options = {}) {
  return call(path, { ...options, method: "GET" });
}

/** The answer of POST ROOT + path with this body. */
export function post(path, body = {}, options = {}) {
  return call(path, { ...options, method: "POST", body });
}

/** "/cameras/" and a name that may hold anything. */
export function pathOf(kind, name, ...more) {
  return ["", `${kind}s`, ...[name, ...more].map(encodeURIComponent)].join("/");
}

async function call(path, options) {
  const { method, body, within = WITHIN_MS, signal = null, again = true } = options;
  const headers = { Accept: "application/json" };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    headers[TOKEN_HEADER] = madeFor("csrf-token");
  }
  const ends = signal ? AbortSignal.any([signal, AbortSignal.timeout(within)]) : AbortSignal.timeout(within);
  let answer;
  try {
    answer = await fetch(ROOT + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal: ends });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, { detail: error.name === "TimeoutError" ? "the server did not answer in time" : "the server cannot be reached" });
  }
  let content = {};
  try {
    const text = await answer.text();
    if (text !== "") content = JSON.parse(text);
  } catch (error) {
    if (signal?.aborted) throw error;
    if (answer.ok) throw new Problem(0, { detail: "the answer broke off" });
  }
  if (answer.status === 401 && again && path !== SESSION) {
    if (await renewedSoon()) return call(path, { ...options, again: false }); // it was refused before it did anything
    throw new Problem(answer.status, content); // the page is made anew, or its user is asked
  }
  if (answer.status === 401) {
    const here = location.pathname + location.search;
    location.assign(`/login?next=${encodeURIComponent(here)}`);
  }
  if (answer.status === 403 && again && content.detail?.includes(TOKEN_HEADER) && (await renewed())) {
    return call(path, { ...options, again: false }); // it was refused before it did anything
  }
  if (!answer.ok) throw new Problem(answer.status, content);
  return content;
}

/** As below, when this browser has the new login's cookie: the old login ends a moment before. */
async function renewedSoon() {
  await new Promise((resolve) => setTimeout(resolve, RENEWED_WITHIN_MS));
  return renewed();
}

/** Somebody has logged in anew in another tab, or changed the password: whether this page may go on, with that login's token. */
async function renewed() {
  const session = await get(SESSION);
  if (!isStill(session)) return false;
  useToken(session.csrf_token);
  return true;
}
