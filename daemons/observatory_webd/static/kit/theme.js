/* The colours, before anything is drawn: dark, red (for a dark site: nothing but red light) or light. Kept in this browser. */
(() => {
  const known = ["dark", "red", "light"];
  let kept = null;
  try {
    kept = localStorage.getItem("theme");
  } catch {
    // a browser may keep nothing; then it is dark
  }
  document.documentElement.dataset.theme = known.includes(kept) ? kept : "dark";
})();
