/**
 * Memory that one search after another uses: fresh megabytes for each would have to be zeroed, and the garbage collector
 * woken for them. Arrays are of a power of two of elements, and hold whatever they held before.
 */
export class FloatPool {
  readonly #free = new Map<number, Float32Array[]>();
  #bytes = 0;

  /** @param most bytes that are kept for later. Default: 128 MiB. */
  constructor(private readonly most = 128 * 2 ** 20) {}

  /** At least so many elements. */
  take(length: number): Float32Array {
    const size = 2 ** Math.ceil(Math.log2(Math.max(1, length)));
    const array = this.#free.get(size)?.pop();
    if (!array) return new Float32Array(size);
    this.#bytes -= array.byteLength;
    return array;
  }

  /** Gives back what `take` gave, as it was or a part of it, which nobody uses any more. */
  give(part: Float32Array): void {
    const array = new Float32Array(part.buffer);
    if (this.#bytes + array.byteLength > this.most) return;
    this.#bytes += array.byteLength;
    const free = this.#free.get(array.length);
    if (free) free.push(array);
    else this.#free.set(array.length, [array]);
  }
}
