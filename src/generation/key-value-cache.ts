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
    this.#capacity = rows > FEW_ROWS ? SLOTS_AT_ONCE : FIRST_CAPACITY;
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
        copy(data, i * count, memory, (i * this.#capacity + this.#used) * size, count);
      }
    }
    this.#used += length;
  }

  /** As `StepMemory.rebuild`. */
  rebuild(kept: readonly number[], needed: readonly (readonly number[])[], length: number): void {
    const used = Math.max(0, ...needed.map((slots) => slots.length));
    const capacity = this.#capacityFor(kept.length, used, length);
    const allStay = kept.length === this.#rows && kept.every((oldRow, row) => oldRow === row);
    if (allStay) this.#compact(needed);
    else this.#keepRows(kept, needed);
    this.#used = used;
    if (capacity !== this.#capacity) this.#resize(capacity);
  }

  /** Moves slots to the beginning of their rows; each goes down, so that none is overwritten before it has moved. */
  #compact(needed: readonly (readonly number[])[]): void {
    const { heads } = this.config;
    const size = this.#headSize;
    // The oldest have mostly found their place already.
    const runs = needed.map((slots) => runsOf(slots).filter(({ first, place }) => first !== place));
    for (const memory of this.#memory.values())
      runs.forEach((moves, row) => {
        for (let head = 0; head < heads; head++) {
          const start = (row * heads + head) * this.#capacity;
          for (const { first, place, length } of moves) {
            const from = (start + first) * size;
            memory.copyWithin((start + place) * size, from, from + length * size);
          }
        }
      });
  }

  #keepRows(kept: readonly number[], needed: readonly (readonly number[])[]): void {
    const { heads } = this.config;
    const size = this.#headSize;
    const runs = needed.map(runsOf);
    this.#rows = kept.length;
    for (const [name, old] of this.#memory) {
      const memory = this.#take();
      kept.forEach((oldRow, row) => {
        for (let head = 0; head < heads; head++) {
          const [from, to] = [oldRow * heads + head, row * heads + head].map((i) => i * this.#capacity);
          for (const { first, place, length } of runs[row]!)
            copy(old, (from! + first) * size, memory, (to! + place) * size, length * size);
        }
      });
      this.#replace(name, memory);
    }
  }

  /** Makes rows longer or shorter, where they are if there is room. */
  #resize(capacity: number): void {
    const size = this.#headSize;
    const stretches = this.#rows * this.config.heads;
    const [from, to, count] = [this.#capacity * size, capacity * size, this.#used * size];
    const grows = to > from;
    this.#capacity = capacity;
    for (const [name, old] of this.#memory) {
      const memory = old.length >= stretches * to ? old : this.#take();
      // In the order in which none is overwritten before it has moved.
      for (let n = 0; n < stretches; n++) {
        const i = grows ? stretches - 1 - n : n;
        if (memory === old) memory.copyWithin(i * to, i * from, i * from + count);
        else copy(old, i * from, memory, i * to, count);
      }
      if (memory !== old) this.#replace(name, memory);
    }
  }

  #replace(name: string, memory: Float32Array): void {
    const old = this.#memory.get(name)!;
    this.#memory.set(name, memory);
    // At once, so that the next one moves into it.
    this.pool.give(old);
  }

  #capacityFor(rows: number, used: number, length: number): number {
    if (rows > FEW_ROWS) return Math.ceil((used + length + SPARE_SLOTS) / SLOTS_AT_ONCE) * SLOTS_AT_ONCE;
    let capacity = this.#capacity;
    // Room for as much again, so that the work of moving stays a small share.
    while (capacity < 2 * used + length) capacity *= 2;
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
    const names = Array.from({ length: this.config.layers }, (_, i) => [`${i}.key`, `${i}.value`]).flat();
    return new Map(names.map((name) => [name, this.#take()]));
  }

  #take(): Float32Array {
    // What is not used yet takes no memory, and rows can grow where they are.
    const slots = this.#rows > FEW_ROWS ? Math.max(this.#capacity, ROOM) : this.#capacity;
    return this.pool.take(this.#rows * slots * this.config.hiddenSize);
  }
}

/** Slots that follow each other and stay together: from `first` on, `length` of them become `place` and following. */
interface Run {
  readonly first: number;
  readonly place: number;
  readonly length: number;
}

function runsOf(slots: readonly number[]): Run[] {
  const runs: Run[] = [];
  for (let place = 0, end = 0; place < slots.length; place = end) {
    for (end = place + 1; slots[end] === slots[end - 1]! + 1; ) end++;
    runs.push({ first: slots[place]!, place, length: end - place });
  }
  return runs;
}

/** Enough for the first fifteen steps of four beams. */
const FIRST_CAPACITY = 64;

/** Of more rows, empty slots cost more time to read at every step than moving the others does now and then. */
const FEW_ROWS = 16;
const SPARE_SLOTS = 8;
const SLOTS_AT_ONCE = 16;
/** Slots of each of many rows that there is memory for from the start. */
const ROOM = 128;

/** Elements from which on a copy is faster with views, which take their time to make. */
const VIEW_COUNT = 128;

function copy(from: Float32Array, start: number, to: Float32Array, at: number, count: number): void {
  if (count >= VIEW_COUNT) to.set(from.subarray(start, start + count), at);
  else for (let i = 0; i < count; i++) to[at + i] = from[start + i]!;
}
