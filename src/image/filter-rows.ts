/**
 * The two passes of a resize (see `resize.ts`) over a row at a time, in WebAssembly: several sums of 32 bits at once, for which
 * plain JavaScript has no instructions.
 */
import {
  advance,
  code,
  get,
  I32,
  i32,
  leb,
  plus,
  set,
  until,
  vectors,
  type WasmFunction,
  wasmModule,
} from "../wasm-code.js";

/** 8 bits for the sample and 2 of headroom, because bicubic weights overshoot. */
const PRECISION_BITS = 32 - 8 - 2;
/** A weight of 1. */
export const ONE = 2 ** PRECISION_BITS;
const HALF = 1 << (PRECISION_BITS - 1);

/** For each output position: the input positions it reads and their fixed-point weights. */
export interface FilterTaps {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  /** `stride` weights for each output position, of which `counts` are used. */
  readonly weights: Int32Array;
  readonly stride: number;
}

/**
 * The horizontal pass.
 * @param row RGB bytes
 * @param out RGB bytes, as many pixels as the taps have outputs
 */
export function filterRow(row: Uint8Array, columns: FilterTaps, out: Uint8Array): void {
  const filters = withRoom(columns, row, out);
  const { counts, weights, source, result } = filters.load(columns, row);
  filters.run.filterRow(source, 0, counts, counts, weights, columns.stride * 4, result);
  filters.read(result, out);
}

/**
 * The vertical pass for output row `i`.
 * @param rows bytes of the rows that it reads, each as long as `out`
 */
export function filterColumns(rows: Uint8Array, taps: FilterTaps, i: number, out: Uint8Array): void {
  const filters = withRoom(taps, rows, out);
  const { weights, source, result } = filters.load(taps, rows);
  const first = weights + i * taps.stride * 4;
  const end = first + taps.counts[i]! * 4;
  filters.run.filterColumns(source, out.length, first, end, result, result + out.length);
  filters.read(result, out);
}

/** Addresses of what the functions below take; those of bytes in units of bytes, all others of 32-bit integers. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  /** @param starts of all outputs, up to `end`, beside their `counts` and `weights`, `stride` bytes apart */
  filterRow(
    row: number,
    starts: number,
    end: number,
    counts: number,
    weights: number,
    stride: number,
    out: number,
  ): void;
  /** @param weights of one output, up to `end` */
  filterColumns(
    rows: number,
    rowBytes: number,
    weights: number,
    end: number,
    out: number,
    outEnd: number,
  ): void;
}

/** Bytes beyond their ends that the functions read and write. */
const SLACK = 16;

/** The functions with their memory: taps, the bytes to filter, the result. */
class RowFilters {
  readonly run: Exports;
  #bytes: Uint8Array;
  /** What is in the memory: as a rule, those of the row before. */
  #taps: FilterTaps | undefined;

  constructor(module: WebAssembly.Module) {
    this.run = new WebAssembly.Instance(module).exports as unknown as Exports;
    this.#bytes = new Uint8Array(this.run.memory.buffer);
  }

  reserve(size: number): void {
    const missing = size - this.#bytes.length;
    if (missing <= 0) return;
    this.run.memory.grow(Math.ceil(missing / 2 ** 16));
    this.#bytes = new Uint8Array(this.run.memory.buffer);
  }

  /** Addresses of what it has put there; the starts are at 0. */
  load(taps: FilterTaps, source: Uint8Array) {
    const counts = taps.starts.byteLength;
    const weights = counts + taps.counts.byteLength;
    const end = weights + taps.weights.byteLength;
    if (this.#taps !== taps) {
      const integers = new Int32Array(this.run.memory.buffer);
      integers.set(taps.starts);
      integers.set(taps.counts, counts / 4);
      integers.set(taps.weights, weights / 4);
      this.#taps = taps;
    }
    this.#bytes.set(source, end);
    return { counts, weights, source: end, result: end + source.length + SLACK };
  }

  read(address: number, out: Uint8Array): void {
    out.set(this.#bytes.subarray(address, address + out.length));
  }
}

/** Larger memory is not kept, since WebAssembly's never shrinks. */
const MOST_KEPT = 16 * 2 ** 20;

let compiled: WebAssembly.Module | undefined;
let kept: RowFilters | undefined;

function withRoom({ starts, counts, weights }: FilterTaps, source: Uint8Array, out: Uint8Array): RowFilters {
  compiled ??= new WebAssembly.Module(wasmModule(FUNCTIONS, "own"));
  const taps = starts.byteLength + counts.byteLength + weights.byteLength;
  const size = taps + source.length + out.length + 2 * SLACK;
  kept ??= new RowFilters(compiled);
  const filters = size > MOST_KEPT ? new RowFilters(compiled) : kept;
  filters.reserve(size);
  return filters;
}

const [add, multiply, splat] = [vectors(0xae), vectors(0xb5), vectors(0x11)];
/** Unsigned bytes to integers of 16 bits, and these to 32: the first half of them and the second. */
const [lowOf8, highOf8, lowOf16, highOf16] = [vectors(0x89), vectors(0x8a), vectors(0xa9), vectors(0xaa)];
/** The reverse, each number clipped to what fits. */
const [to16, to8] = [vectors(0x85), vectors(0x66)];

// A sum becomes a byte as in Pillow's `clip8`: the shift drops the fraction, and what is left is clipped. Sums are integers
// of 32 bits, as in Pillow.
const whole = (sum: number) => code(get(sum), i32(PRECISION_BITS), 0xfd, leb(0xac));
const half = splat(i32(HALF));
/** A weight in all lanes. */
const weightAt = (address: number) => code(get(address), 0xfd, 0x09, 2, 0);

/** A pixel at a time, its three channels side by side; what comes of the fourth byte is overwritten by the next pixel. */
function rowFilter(): WasmFunction {
  const [row, start, end, count, weights, stride, out] = [0, 1, 2, 3, 4, 5, 6] as const;
  const [sum, from, weight, lastWeight] = [7, 8, 9, 10] as const;
  const integerAt = (address: number) => code(get(address), 0x28, 2, 0);
  const times = (value: readonly number[], factor: number) => code(value, i32(factor), 0x6c);
  const pixel = code(get(from), 0xfd, 0x5c, 0, 0);
  const body = until(
    start,
    end,
    code(
      set(from, plus(get(row), times(integerAt(start), 3))),
      set(weight, get(weights)),
      set(lastWeight, plus(get(weights), times(integerAt(count), 4))),
      set(sum, half),
      until(
        weight,
        lastWeight,
        code(
          set(sum, add(get(sum), multiply(lowOf16(lowOf8(pixel)), weightAt(weight)))),
          advance(from, i32(3)),
          advance(weight, i32(4)),
        ),
      ),
      set(sum, whole(sum)),
      set(sum, to16(get(sum), get(sum))),
      code(get(out), to8(get(sum), get(sum)), 0xfd, 0x5a, 0, 0, 0), // Its first four bytes.
      advance(out, i32(3)),
      advance(start, i32(4)),
      advance(count, i32(4)),
      advance(weights, get(stride)),
    ),
  );
  return { parameters: Array(7).fill(I32), vectors: 1, integers: 3, body };
}

/** Sixteen bytes at a time. */
function columnFilter(): WasmFunction {
  const [rows, rowBytes, weights, end, out, outEnd] = [0, 1, 2, 3, 4, 5] as const;
  const sums = [6, 7, 8, 9] as const;
  const [bytes, factor, from, weight] = [10, 11, 12, 13] as const;
  const quarters = [
    lowOf16(lowOf8(get(bytes))),
    highOf16(lowOf8(get(bytes))),
    lowOf16(highOf8(get(bytes))),
    highOf16(highOf8(get(bytes))),
  ] as const;
  const [a, b, c, d] = sums.map(whole) as [number[], number[], number[], number[]];
  const body = until(
    out,
    outEnd,
    code(
      set(from, get(rows)),
      set(weight, get(weights)),
      ...sums.map((sum) => set(sum, half)),
      until(
        weight,
        end,
        code(
          set(factor, weightAt(weight)),
          set(bytes, code(get(from), 0xfd, 0x00, 0, 0)),
          ...sums.map((sum, i) => set(sum, add(get(sum), multiply(quarters[i]!, get(factor))))),
          advance(from, get(rowBytes)),
          advance(weight, i32(4)),
        ),
      ),
      code(get(out), to8(to16(a, b), to16(c, d)), 0xfd, 0x0b, 0, 0),
      advance(out, i32(16)),
      advance(rows, i32(16)),
    ),
  );
  return { parameters: Array(6).fill(I32), vectors: 6, integers: 2, body };
}

const FUNCTIONS = { filterRow: rowFilter(), filterColumns: columnFilter() };
