import { LingolensError } from "./errors.js";
import { openNativeLibrary } from "./native-library.js";

/** The memories whose bytes WebAssembly can work on, by their buffers. */
const memories = new WeakMap<ArrayBufferLike, WebAssembly.Memory>();

/** Where the scratch memory of a thread, the first being 0, begins in a WebAssembly memory. */
export function scratchAddress({ buffer }: WebAssembly.Memory, thread: number): number {
  return buffer.byteLength - (thread + 1) * SCRATCH.bytes;
}

/** The WebAssembly memory that an array lies in, if it does. */
export function memoryOf(array: Float32Array): WebAssembly.Memory | undefined {
  return memories.get(array.buffer);
}

const PAGE = 1 << 16;
/** What 32 bits can address. */
const MAX_PAGES = 1 << 16;
/** Arrays that are walked together begin at the same place of a page each: AdamW takes up to half as long again where not. */
const ALIGNMENT = 4096;
/** After the arrays of a WebAssembly memory: what each of some threads can work in. */
export const SCRATCH = { bytes: PAGE, threads: 128 } as const;
/** Smaller arrays are not worth a WebAssembly memory, each of which takes gigabytes of addresses. */
const MIN_ELEMENTS = 1 << 20;

/**
 * Zeroed arrays in one shared memory, which threads can work on together; in WebAssembly's where they are large and it
 * can address them all.
 * @param lengths elements of each
 * @throws {LingolensError} `out-of-memory`
 */
export function sharedStretches(lengths: readonly number[]): Float32Array[] {
  const starts = [0];
  for (const length of lengths) starts.push(starts.at(-1)! + Math.ceil((4 * length) / ALIGNMENT) * ALIGNMENT);
  const bytes = starts.pop()!;
  const pages = Math.ceil(bytes / PAGE) + SCRATCH.threads;
  try {
    let buffer: SharedArrayBuffer;
    if (Math.max(...lengths) >= MIN_ELEMENTS && pages <= MAX_PAGES) {
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      buffer = memory.buffer as unknown as SharedArrayBuffer;
      memories.set(buffer, memory);
      askForLargePages(buffer);
    } else buffer = new SharedArrayBuffer(bytes);
    return lengths.map((length, i) => new Float32Array(buffer, starts[i], length));
  } catch (cause) {
    throw new LingolensError(
      "out-of-memory",
      `No memory for ${lengths.join(" + ")} numbers of a training run.`,
      { cause },
    );
  }
}

/** Zeroed bytes of shared memory, of a WebAssembly memory's where they are many. */
export function sharedBytes(count: number): Uint8Array {
  const [stretch] = sharedStretches([Math.ceil(count / 4)]) as [Float32Array];
  return new Uint8Array(stretch.buffer, stretch.byteOffset, stretch.byteLength);
}

const MADV_HUGEPAGE = 14;

/**
 * Pages of 2 MiB, where Linux gives them to who asks: products and the optimiser walk gigabytes, and looking up their
 * small pages takes a twentieth of the time. What is refused is done without.
 */
function askForLargePages(buffer: SharedArrayBuffer): void {
  if (process.platform !== "linux") return;
  const library = openNativeLibrary(null);
  const madvise = library.func("int madvise(void*, size_t, int)");
  madvise(new Uint8Array(buffer), buffer.byteLength, MADV_HUGEPAGE);
}
