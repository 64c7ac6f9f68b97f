/* How many a second, of counts that are told now and then. */

export class Rates {
  #before = new Map(); // key -> { count, at }
  #now = new Map();
  #at = 0;

  /** What follows was counted at this moment (ISO 8601). */
  begin(date) {
    this.#at = Date.parse(date);
    this.#now = new Map();
  }

  /** How many a second since the reading before; null for what was not counted then, or began anew. */
  of(key, count) {
    const before = this.#before.get(key);
    this.#now.set(key, { count, at: this.#at });
    if (!before || count < before.count || this.#at <= before.at) return null;
    return ((count - before.count) * 1000) / (this.#at - before.at);
  }

  /** Forget what is no longer counted. */
  end() {
    this.#before = this.#now;
  }
}
