import { LingolensError } from "../errors.js";

/** The memories whose bytes WebAssembly can work on, by their buffers. */
const memories = new WeakMap<ArrayBufferLike, WebAssembly.Memory>();

/** The WebAssembly memory that an array lies in, if it does. */
export function memoryOf(array: Float32Array): WebAssembly.Memory | undefined {
  return memories.get(array.buffer);
}

const PAGE = 1 << 16;
/** What 32 bits can address. */
const MAX_PAGES = 1 << 16;
/** Vectors are loaded fastest from such places. */
const ALIGNMENT = 64;
/** Smaller arrays are not worth a WebAssembly memory, each of which takes gigabytes of addresses. */
const MIN_ELEMENTS = 1 << 20;

/**
 * Zeroed arrays in one shared memory, which threads can work on together; in WebAssembly's where they are large and it
 * can address them all.
 * @throws {LingolensError} `out-of-memory`
 */
export function sharedStretches(count: number, elements: number): Float32Array[] {
  const bytes = Math.ceil((4 * elements) / ALIGNMENT) * ALIGNMENT;
  const pages = Math.ceil((count * bytes) / PAGE);
  try {
    let buffer: SharedArrayBuffer;
    if (elements >= MIN_ELEMENTS && pages <= MAX_PAGES) {
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      buffer = memory.buffer as unknown as SharedArrayBuffer;
      memories.set(buffer, memory);
    } else buffer = new SharedArrayBuffer(count * bytes);
    return Array.from({ length: count }, (_, i) => new Float32Array(buffer, i * bytes, elements));
  } catch (cause) {
    throw new LingolensError(
      "out-of-memory",
      `No memory for ${count} × ${elements} numbers of a training run.`,
      { cause },
    );
  }
}
