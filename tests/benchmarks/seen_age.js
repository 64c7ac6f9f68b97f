// Run in a page by bench_web_pages.py: how old is what is to be seen? In the picture a bright disc goes from left to right at
// a steady pace; where it is says when the picture was taken. Looks at each refresh of the screen, for so long.
//
// source: CSS selector of an img or canvas; row: where the disc's middle is; pixelsPerSecond; epochMs: when it was at 0;
// periodMs: when it is there again. Answers with the ages in milliseconds, one for each picture seen.
async ({ source, row, pixelsPerSecond, epochMs, periodMs, seconds }) => {
  const HEIGHT = 8;
  const BRIGHT = 100;
  const EDGE = 60; // at an edge of the picture the disc is not whole
  const element = document.querySelector(source);
  const ages = [];
  let strip = null;
  let last = null;

  function place() {
    const width = element.naturalWidth ?? element.width;
    if (width < 2 * EDGE) return null;
    if (strip === null) {
      strip = new OffscreenCanvas(width, HEIGHT).getContext("2d", { willReadFrequently: true });
    }
    strip.drawImage(element, 0, row - HEIGHT / 2, width, HEIGHT, 0, 0, width, HEIGHT);
    const { data } = strip.getImageData(0, 0, width, HEIGHT);
    let light = 0;
    let moment = 0;
    for (let at = 0; at < width * HEIGHT; at += 1) {
      const above = data[4 * at + 1] - BRIGHT;
      if (above > 0) {
        light += above;
        moment += above * (at % width);
      }
    }
    const x = moment / light; // not a number where there is no light
    return x > EDGE && x < width - EDGE ? x : null;
  }

  const end = performance.now() + 1000 * seconds;
  while (performance.now() < end) {
    await new Promise((resolve) => requestAnimationFrame(resolve));
    const x = place();
    const now = Date.now() + 0.5; // it is cut to whole milliseconds
    if (x === null || (last !== null && Math.abs(x - last) < 2)) continue;
    if (last !== null) {
      const age = now - epochMs - (1000 * x) / pixelsPerSecond;
      ages.push(((age % periodMs) + periodMs) % periodMs);
    }
    last = x;
  }
  return ages;
}
