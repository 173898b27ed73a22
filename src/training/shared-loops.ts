import { Worker } from "node:worker_threads";
import { Turns } from "../engine/turns.js";
import { memoryOf, SCRATCH, scratchAddress } from "../shared-memory.js";
import { type Ranks, shareOf } from "./collective/collective.js";
import type { Stretches, TrainingMemory } from "./parameters.js";
import { VECTOR, type WasmLoops, wasmLoops } from "./wasm-loops.js";

export interface Loop {
  /**
   * Works on elements `start` to `end` of arrays; results of the pieces are added. It is sent to the threads as text, so
   * it may use nothing but its arguments and what every realm has.
   */
  readonly run: (
    arrays: readonly Float32Array[],
    numbers: readonly number[],
    start: number,
    end: number,
  ) => number;
  /** The same in WebAssembly, with the same bits: arrays' addresses, the end of the first one, numbers. */
  readonly wasm?: keyof WasmLoops;
  /** Where it changes the first array: the loop that writes it in bf16 as well, to the address after those of the arrays. */
  readonly wasmRounded?: keyof WasmLoops;
}

/** Elements of a piece. The pieces, and so every bit of a result, are the same whatever the number of threads. */
const PIECE = 1 << 18;

/** What a worker is told. */
interface Order {
  /** The loop's text. */
  readonly run: string;
  readonly wasm?: { name: keyof WasmLoops; module: WebAssembly.Module; memory: WebAssembly.Memory };
  readonly arrays: readonly Float32Array[];
  readonly numbers: readonly number[];
  /** The copy in bf16 of the first array, to be written. */
  readonly rounded?: Uint16Array | undefined;
  /** Memory that all workers share: the next piece to take, and the results of the pieces. */
  readonly next: Int32Array;
  readonly results: Float64Array;
  /** Address of a thread's own memory in WebAssembly's, for a copy in bf16 that lies elsewhere. */
  readonly scratch?: number;
}

/** From text, since a file of its own would be found in the build only. */
const WORKER = `
${roundNumbers}
const { parentPort } = require("node:worker_threads");
const known = new Map();
parentPort.on("message", ({ run, wasm, arrays, numbers, rounded, next, results, scratch }) => {
  if (!known.has(run)) known.set(run, (0, eval)("(" + run + ")"));
  const loop = known.get(run);
  const vectors = wasm && new WebAssembly.Instance(wasm.module, { env: { memory: wasm.memory } }).exports[wasm.name];
  // WebAssembly writes to its own memory only. For elsewhere, as much as stays in the caches is copied from there.
  const copy = scratch && new Uint16Array(wasm.memory.buffer, scratch, ${SCRATCH.bytes / 2});
  const stride = copy ? copy.length : ${PIECE};
  for (let piece; (piece = Atomics.add(next, 0, 1)) < results.length; ) {
    let start = piece * ${PIECE};
    const end = Math.min(start + ${PIECE}, arrays[0].length);
    let result = 0;
    if (vectors)
      for (const whole = end - (end - start) % ${VECTOR}; start < whole; ) {
        const stop = Math.min(start + stride, whole);
        const addresses = arrays.map((array) => array.byteOffset + 4 * start);
        if (rounded) addresses.push(copy ? scratch : rounded.byteOffset + 2 * start);
        result += vectors(...addresses, arrays[0].byteOffset + 4 * stop, ...numbers) ?? 0;
        if (copy) rounded.set(copy.subarray(0, stop - start), start);
        start = stop;
      }
    results[piece] = start < end ? result + loop(arrays, numbers, start, end) : result;
    if (rounded) roundNumbers(arrays[0], rounded, start, end);
  }
  parentPort.postMessage("done");
});`;

/** Loops over large shared arrays, on several threads: reading and writing memory is what they do, and one is not enough. */
export class SharedLoops {
  readonly #workers: Worker[] = [];
  /** One loop at a time has all the threads. */
  readonly #turns = new Turns(1);

  constructor(private readonly threads: number) {}

  /**
   * Runs a loop over stretches of the same lengths, which nothing else may touch meanwhile.
   * @returns the sum of the pieces' results, the same whatever the number of threads
   */
  async run(loop: Loop, all: readonly Stretches[], numbers: readonly number[] = []): Promise<number> {
    let sum = 0;
    for (let i = 0; i < all[0]!.stretches.length; i++) {
      const arrays = all.map(({ stretches }) => stretches[i]!);
      const rounded = loop.wasmRounded && all[0]!.rounded?.[i];
      for (const result of await this.#runOver(loop, arrays, numbers, rounded)) sum += result;
    }
    return sum;
  }

  async #runOver(
    loop: Loop,
    arrays: readonly Float32Array[],
    numbers: readonly number[],
    rounded: Uint16Array | undefined,
  ): Promise<Float64Array> {
    const { length } = arrays[0]!;
    const pieces = Math.ceil(length / PIECE);
    const results = new Float64Array(new SharedArrayBuffer(8 * pieces));
    // A few pieces are done before a thread has heard of them.
    if (pieces <= 4) {
      for (let piece = 0; piece < pieces; piece++)
        results[piece] = loop.run(arrays, numbers, piece * PIECE, Math.min((piece + 1) * PIECE, length));
      if (rounded) roundNumbers(arrays[0]!, rounded, 0, length);
      return results;
    }
    const memory = memoryOf(arrays[0]!);
    const name = rounded ? loop.wasmRounded : loop.wasm;
    const elsewhere = rounded !== undefined && rounded.buffer !== memory?.buffer;
    const room = !elsewhere || this.threads <= SCRATCH.threads;
    const wasm = name && room && memory && arrays.every((array) => array.buffer === memory.buffer);
    const order: Order = {
      run: loop.run.toString(),
      ...(wasm && { wasm: { name, module: wasmLoops(), memory } }),
      arrays,
      numbers,
      rounded,
      next: new Int32Array(new SharedArrayBuffer(4)),
      results,
    };
    while (this.#workers.length < this.threads) this.#workers.push(new Worker(WORKER, { eval: true }));
    const orders = this.#workers.map((_, thread) =>
      wasm && elsewhere ? { ...order, scratch: scratchAddress(memory, thread) } : order,
    );
    await this.#turns.take(() =>
      Promise.all(this.#workers.map((worker, thread) => carryOut(worker, orders[thread]!))),
    );
    return results;
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.terminate()));
  }
}

function carryOut(worker: Worker, order: Order): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (then: () => void) => {
      worker.off("message", done).off("error", failed).off("exit", exited);
      then();
    };
    const done = () => settle(resolve);
    const failed = (error: unknown) => settle(() => reject(error));
    const exited = () => settle(() => reject(new Error("A thread of a loop over shared memory has ended.")));
    worker.on("message", done).on("error", failed).on("exit", exited);
    worker.postMessage(order);
  });
}

/**
 * Writes the numbers of an array from `start` to `end` in bf16, rounded to the nearest, to the even one of two. Sent to the
 * threads as text, too.
 */
export function roundNumbers(array: Float32Array, rounded: Uint16Array, start: number, end: number): void {
  const bits = new Uint32Array(array.buffer, array.byteOffset, array.length);
  for (let i = start; i < end; i++) rounded[i] = (bits[i]! + 0x7fff + ((bits[i]! >>> 16) & 1)) >>> 16;
}

/** Changes nothing. */
const roundLoop: Loop = { run: () => 0, wasmRounded: "round" };

/** Writes the copies in bf16 of the parameters that are trained, where there are any. */
export async function roundParameters(loops: SharedLoops, parameters: Stretches): Promise<void> {
  if (parameters.rounded) await loops.run(roundLoop, [parameters]);
}

/** Writes those of the other ranks' shares. */
export async function roundGathered(
  loops: SharedLoops,
  { stretches, rounded }: Stretches,
  ranks: Ranks,
): Promise<void> {
  if (!rounded) return;
  const others = <T extends Float32Array | Uint16Array>(stretch: T) => {
    const { start, end } = shareOf(stretch.length, ranks);
    return [stretch.subarray(0, start), stretch.subarray(end)] as T[];
  };
  await loops.run(roundLoop, [{ stretches: stretches.flatMap(others), rounded: rounded.flatMap(others) }]);
}

/** Writes those of the others, which stay as they are. */
export function roundFrozen({
  parameters,
  gradients,
}: Pick<TrainingMemory, "parameters" | "gradients">): void {
  for (const [name, { data, rounded }] of Object.entries(parameters.tensors))
    if (rounded && !gradients.tensors[name]) roundNumbers(data, rounded, 0, data.length);
}

/** Adds the second array to the first. */
export const addLoop: Loop = {
  run: ([sum, part], _, start, end) => {
    for (let i = start; i < end; i++) sum![i]! += part![i]!;
    return 0;
  },
};

/** Copies the second array to the first. */
export const copyLoop: Loop = {
  run: ([to, from], _, start, end) => {
    to!.set(from!.subarray(start, end), start);
    return 0;
  },
};

/** A number that other bits would give another of, but for chance: of the bits of floats in their order, from 0 to 2³². */
export const checksumLoop: Loop = {
  run: ([x], _, start, end) => {
    const bits = new Int32Array(x!.buffer, x!.byteOffset, x!.length);
    let hash = start;
    for (let i = start; i < end; i++) {
      hash = Math.imul(hash ^ bits[i]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return hash >>> 0;
  },
};
