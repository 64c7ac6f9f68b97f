/* Small pictures, made in the browser of what is in view: a few at a time, since a browser has six connections to a server. */

const AT_A_TIME = 3;
const WIDTH = 320;
const SMALL_BYTES = 100_000; // not worth being made smaller
const MOST_KEPT = 600;

export class Thumbnails {
  #observer;
  #waiting = new Map(); // img -> url
  #running = 0;
  #kept = new Map(); // url -> address of a blob; the first is the oldest
  #wanted = new WeakMap(); // img -> url

  constructor() {
    this.#observer = new IntersectionObserver((entries) => this.#see(entries), { rootMargin: "200px" });
  }

  /** Have `img` show what is at `url` once it is in view; it gets the class "failed" if that is no picture. */
  add(img, url) {
    if (this.#wanted.get(img) === url) return;
    this.#wanted.set(img, url);
    this.#observer.unobserve(img);
    this.#observer.observe(img);
  }

  /** `img` is no longer shown. */
  remove(img) {
    this.#observer.unobserve(img);
    this.#waiting.delete(img);
  }

  #see(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#waiting.set(target, this.#wanted.get(target));
      else this.#waiting.delete(target);
    }
    this.#next();
  }

  #next() {
    while (this.#running < AT_A_TIME && this.#waiting.size > 0) {
      const [img, url] = this.#waiting.entries().next().value;
      this.#waiting.delete(img);
      this.#observer.unobserve(img);
      this.#running += 1;
      this.#show(img, url).finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }

  async #show(img, url) {
    try {
      const address = this.#kept.get(url) ?? (await small(url));
      this.#keep(url, address);
      if (this.#wanted.get(img) !== url) return;
      img.src = address;
      img.classList.remove("failed");
    } catch {
      img.classList.add("failed"); // the tile tells its kind instead
      this.#wanted.delete(img); // and is tried again when the files are listed anew
    }
  }

  #keep(url, address) {
    this.#kept.delete(url);
    this.#kept.set(url, address);
    if (this.#kept.size <= MOST_KEPT) return;
    const [oldest, its] = this.#kept.entries().next().value;
    this.#kept.delete(oldest);
    URL.revokeObjectURL(its); // what is shown already stays
  }
}

async function small(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${answer.status}`);
  const whole = await answer.blob();
  const bitmap = await createImageBitmap(whole, { resizeWidth: WIDTH, resizeQuality: "medium" });
  if (whole.size <= SMALL_BYTES) {
    bitmap.close();
    return URL.createObjectURL(whole);
  }
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.8));
  if (blob === null) throw new Error("no picture");
  return URL.createObjectURL(blob);
}
