import koffi from "koffi";

/** 64-bit words in shared memory at addresses that stay: what native calls on another thread read. */
export class NativeWords {
  #block: BigUint64Array = new BigUint64Array(0);
  #used = 0;

  /** Memory for some words. */
  take(count: number): BigUint64Array {
    if (this.#used + count > this.#block.length) {
      this.#block = sharedWords(Math.max(1 << 14, count));
      this.#used = 0;
    }
    this.#used += count;
    return this.#block.subarray(this.#used - count, this.#used);
  }
}

export function sharedWords(count: number): BigUint64Array {
  return new BigUint64Array(new SharedArrayBuffer(8 * count));
}

export function addressOf(data: ArrayBufferView): bigint {
  return koffi.address(data);
}

const COUNT = 1 << 12;

/** The address of a list of pointers to the C strings PREFIX0, PREFIX1, … */
export function numberedNames(prefix: string): { readonly address: bigint; readonly count: number } {
  const length = prefix.length + String(COUNT).length + 1;
  const text = new Uint8Array(new SharedArrayBuffer(COUNT * length));
  const start = addressOf(text);
  const pointers = sharedWords(COUNT);
  for (let i = 0; i < COUNT; i++) {
    text.set(Buffer.from(`${prefix}${i}`, "latin1"), i * length);
    pointers[i] = start + BigInt(i * length);
  }
  kept.push(text, pointers);
  return { address: addressOf(pointers), count: COUNT };
}

/** Names that native code has the addresses of. */
const kept: ArrayBufferView[] = [];
