import type { HostTensors } from "../engine/compile.js";
import type { SearchedModel } from "../model/search-step.js";
import type { FloatPool } from "./float-pool.js";

/**
 * Keys and values of the tokens so far, of every layer [rows, heads, capacity, headSize]. A row belongs to a search,
 * and a token takes the next slot of its row. Nothing moves when hypotheses fork or die: each knows the slots of its
 * own past. When the memory is full, the slots that nobody needs any more are given up.
 */
export class KeyValueCache {
  #rows: number;
  #capacity: number;
  #used = 0;
  #memory: Map<string, Float32Array>;

  constructor(
    private readonly config: SearchedModel["decoder"],
    private readonly pool: FloatPool,
    rows: number,
  ) {
    this.#rows = rows;
    this.#capacity = rows > FEW_ROWS ? FIRST_CAPACITY / 2 : FIRST_CAPACITY;
    this.#memory = this.#allocate();
  }

  get rows(): number {
    return this.#rows;
  }

  /** Slots of a row, used or not. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Slots in use, the first of every row. */
  get used(): number {
    return this.#used;
  }

  /** `cache.N.key`, `cache.N.value` */
  feeds(): HostTensors {
    const { heads } = this.config;
    const shape = [this.#rows, heads, this.#capacity, this.#headSize];
    const size = shape.reduce((a, b) => a * b);
    return Object.fromEntries(
      [...this.#memory].map(([name, data]) => {
        return [`cache.${name}`, { dtype: "float32", shape, data: data.subarray(0, size) }];
      }),
    );
  }

  /** Takes in `own.N.key`, `own.N.value` [rows, heads, length, headSize]; there must be room for them. */
  append(own: HostTensors, length: number): void {
    const size = this.#headSize;
    const stretches = this.#rows * this.config.heads;
    const count = length * size;
    for (const [name, memory] of this.#memory) {
      const data = own[`own.${name}`]!.data as Float32Array;
      for (let i = 0; i < stretches; i++) {
        const at = (i * this.#capacity + this.#used) * size;
        if (count < VIEW_COUNT) copy(data, i * count, memory, at, count);
        else memory.set(data.subarray(i * count, (i + 1) * count), at);
      }
    }
    this.#used += length;
  }

  /** As `StepMemory.rebuild`. */
  rebuild(kept: readonly number[], needed: readonly (readonly number[])[], length: number): void {
    const used = Math.max(0, ...needed.map((slots) => slots.length));
    const capacity = this.#capacityFor(kept.length, used, length);
    const allStay = kept.length === this.#rows && kept.every((oldRow, row) => oldRow === row);
    this.#used = used;
    if (allStay && capacity === this.#capacity) {
      this.#compact(needed);
      return;
    }
    const [oldMemory, oldCapacity] = [this.#memory, this.#capacity];
    this.#rows = kept.length;
    this.#capacity = capacity;
    this.#memory = this.#allocate();
    const { heads } = this.config;
    const size = this.#headSize;
    for (const [name, memory] of this.#memory) {
      const old = oldMemory.get(name)!;
      kept.forEach((oldRow, row) => {
        for (let head = 0; head < heads; head++) {
          const from = (oldRow * heads + head) * oldCapacity;
          const to = (row * heads + head) * capacity;
          needed[row]!.forEach((slot, i) => {
            copy(old, (from + slot) * size, memory, (to + i) * size, size);
          });
        }
      });
      this.pool.give(old);
    }
  }

  /** Moves slots to the beginning of their rows; each goes down, so that none is overwritten before it has moved. */
  #compact(needed: readonly (readonly number[])[]): void {
    const { heads } = this.config;
    const size = this.#headSize;
    for (const memory of this.#memory.values())
      needed.forEach((slots, row) => {
        for (let head = 0; head < heads; head++) {
          const first = (row * heads + head) * this.#capacity;
          // Slots that follow each other move together; the oldest have mostly found their place already.
          for (let i = 0, end = 0; i < slots.length; i = end) {
            for (end = i + 1; slots[end] === slots[end - 1]! + 1; ) end++;
            const from = (first + slots[i]!) * size;
            if (slots[i] !== i) memory.copyWithin((first + i) * size, from, from + (end - i) * size);
          }
        }
      });
  }

  #capacityFor(rows: number, used: number, length: number): number {
    let capacity = this.#capacity;
    if (rows > FEW_ROWS) while (capacity < used + length + SPARE_SLOTS) capacity *= 2;
    // Room for as much again, so that the work of moving stays a small share.
    else while (capacity < 2 * used + length) capacity *= 2;
    return capacity;
  }

  /** Gives its memory back. */
  close(): void {
    for (const memory of this.#memory.values()) this.pool.give(memory);
    this.#memory.clear();
  }

  get #headSize(): number {
    return this.config.hiddenSize / this.config.heads;
  }

  #allocate(): Map<string, Float32Array> {
    const size = this.#rows * this.#capacity * this.config.hiddenSize;
    const names = Array.from({ length: this.config.layers }, (_, i) => [`${i}.key`, `${i}.value`]).flat();
    return new Map(names.map((name) => [name, this.pool.take(size)]));
  }
}

/** Enough for the first fifteen steps of four beams. */
const FIRST_CAPACITY = 64;

/** Of more rows, empty slots cost more time to read at every step than moving the others does now and then. */
const FEW_ROWS = 16;
const SPARE_SLOTS = 8;

/** Elements from which on a copy is faster with a view. */
const VIEW_COUNT = 128;

/** Element by element: of a few elements, the thousands of views that `set` would take are slower to make than to copy. */
function copy(from: Float32Array, start: number, to: Float32Array, at: number, count: number): void {
  for (let i = 0; i < count; i++) to[at + i] = from[start + i]!;
}
