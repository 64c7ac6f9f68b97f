/* Changes on their way to one camera: one at a time, at most five a second; of one control only the latest waits. */

const EVERY_MS = 200;

export class Sender {
  #waiting = new Map(); // key -> action
  #busy = false;

  /** Run `action()` (answers a promise that never fails) in turn, in place of what waits under this key. */
  send(key, action) {
    this.#waiting.delete(key);
    this.#waiting.set(key, action);
    this.#run();
  }

  /** Whether something waits under this key. */
  has(key) {
    return this.#waiting.has(key);
  }

  async #run() {
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#waiting.size) {
        const [key, action] = this.#waiting.entries().next().value;
        this.#waiting.delete(key);
        await Promise.all([action(), new Promise((resolve) => setTimeout(resolve, EVERY_MS))]);
      }
    } finally {
      this.#busy = false;
    }
  }
}
