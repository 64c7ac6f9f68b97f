/* What is only done while somebody sees it: an element that is out of view, hidden or in a closed part of the page, or a page
 * in a hidden tab, costs neither the server nor the camera anything. */

import { Problem } from "../kit/api.js";

const NEARLY_SEEN = "100px";

/** Call `changed(seen)` now and whenever `element` comes into view or leaves it. */
export function watchSeen(element, changed) {
  let inView = false;
  let told = null;
  const tell = () => {
    const seen = inView && document.visibilityState === "visible";
    if (seen === told) return;
    told = seen;
    changed(seen);
  };
  const observer = new IntersectionObserver(
    (entries) => {
      inView = entries.at(-1).isIntersecting;
      tell();
    },
    { rootMargin: NEARLY_SEEN },
  );
  observer.observe(element);
  document.addEventListener("visibilitychange", tell);
}

/** Run `action()` at once and again `periodMs` after each end, while `element` is seen; `failed(problem)` is told of refusals. */
export function whileSeen(element, periodMs, action, failed = () => {}) {
  let seen = false;
  let running = false;
  let timer = null;
  const run = async () => {
    timer = null;
    if (!seen || running) return;
    running = true;
    try {
      await action();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      failed(error);
    } finally {
      running = false;
      if (seen) timer = setTimeout(run, periodMs);
    }
  };
  watchSeen(element, (now) => {
    seen = now;
    clearTimeout(timer);
    if (seen) run();
  });
}
