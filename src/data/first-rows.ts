/**
 * The first row of each file, by 128 bits of its hash: an open-addressed table of at most 60 bytes a row, since a Map
 * takes five times as much.
 */
export class FirstRows {
  #mask = 2 ** 14 - 1;
  /** Four words of the hash, and the row plus one, or 0 for an empty place. */
  #table = new Uint32Array((this.#mask + 1) * 5);
  #size = 0;

  /**
   * Remembers the row, unless one with the same hash is there already.
   * @param sha256 in hexadecimal digits
   */
  firstWith(sha256: string, row: number): number | undefined {
    const words = [8, 16, 24, 32].map((at) => Number.parseInt(sha256.slice(at, at + 8), 16));
    const at = this.#placeOf(words);
    const found = this.#table[at + 4]!;
    if (found !== 0) return found - 1;
    this.#table.set([...words, row + 1], at);
    this.#size += 1;
    if (this.#size * 1.5 > this.#mask) this.#grow();
    return undefined;
  }

  /** Where the hash is, or is to be. */
  #placeOf(words: readonly number[]): number {
    const table = this.#table;
    for (let place = words[0]! & this.#mask; ; place = (place + 1) & this.#mask) {
      const at = place * 5;
      if (table[at + 4] === 0 || words.every((word, i) => table[at + i] === word)) return at;
    }
  }

  #grow(): void {
    const before = this.#table;
    this.#mask = this.#mask * 2 + 1;
    this.#table = new Uint32Array((this.#mask + 1) * 5);
    for (let at = 0; at < before.length; at += 5) {
      const entry = before.subarray(at, at + 5);
      if (entry[4] !== 0) this.#table.set(entry, this.#placeOf([...entry.subarray(0, 4)]));
    }
  }
}
