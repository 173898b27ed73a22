/** A set of texts with a value each, to be walked one UTF-16 code unit at a time. */
export class PieceTrie {
  // A node is a number; its parent and the code unit that leads to it are its key in an open hash table.
  // Compared with maps in maps this takes a tenth of the memory and of the time to build.
  #parents = new Int32Array(1024);
  #units = new Uint16Array(1024);
  #values = new Int32Array(1024).fill(none);
  #table = new Int32Array(4096);
  #size = 1;

  static readonly root = 0;

  /** A text that is added twice keeps its last value. */
  add(text: string, value: number): void {
    let node = PieceTrie.root;
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      const slot = this.#slot(node, unit);
      const child = this.#table[slot]!;
      node = child > 0 ? child : this.#append(slot, node, unit);
    }
    this.#values[node] = value;
  }

  /** The node behind `node` by this code unit, or -1. */
  child(node: number, unit: number): number {
    const child = this.#table[this.#slot(node, unit)]!;
    return child > 0 ? child : none;
  }

  /** The value of the text that ends in this node, or -1. */
  value(node: number): number {
    return this.#values[node]!;
  }

  /** Where the child stands in the table, or where it would be put; 0 in the table is an empty slot. */
  #slot(parent: number, unit: number): number {
    const mask = this.#table.length - 1;
    let slot = (Math.imul(parent, 0x9e3779b1) ^ Math.imul(unit, 0x85ebca6b)) >>> 0;
    slot = (slot ^ (slot >>> 15)) & mask;
    for (;;) {
      const node = this.#table[slot]!;
      if (node === 0 || (this.#parents[node] === parent && this.#units[node] === unit)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #append(slot: number, parent: number, unit: number): number {
    const node = this.#size++;
    if (node === this.#parents.length) this.#grow();
    this.#parents[node] = parent;
    this.#units[node] = unit;
    this.#table[slot] = node;
    if (this.#size * 2 > this.#table.length) this.#rehash();
    return node;
  }

  #grow(): void {
    const capacity = this.#parents.length * 2;
    const { length } = this.#parents;
    const parents = new Int32Array(capacity);
    const units = new Uint16Array(capacity);
    const values = new Int32Array(capacity).fill(none, length);
    parents.set(this.#parents);
    units.set(this.#units);
    values.set(this.#values);
    this.#parents = parents;
    this.#units = units;
    this.#values = values;
  }

  #rehash(): void {
    this.#table = new Int32Array(this.#table.length * 2);
    for (let node = 1; node < this.#size; node++) {
      this.#table[this.#slot(this.#parents[node]!, this.#units[node]!)] = node;
    }
  }
}

const none = -1;
