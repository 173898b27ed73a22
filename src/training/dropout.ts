import type { HostTensor } from "../engine/engine.js";
import { cast, input, multiply, reshape, type Tensor } from "../graph/index.js";
import { threefry, type Words } from "./threefry.js";

/** What the masks of a step depend on, beside the place that each is for. */
export interface DropoutKey {
  readonly seed: number;
  readonly step: number;
}

/** Numbers are compared with the rate to 16 bits: two to a random word. */
const RESOLUTION = 1 << 16;

/**
 * Dropout (Srivastava et al. 2014) of hidden states [pictures·captions, length, width]. ONNX has no generator whose
 * numbers can be made again, so masks are inputs, made by `masks`: a byte an element, which takes a hundredth of the
 * time of the step that they are for.
 */
export class Dropout {
  /** Elements dropped, of `RESOLUTION`. */
  readonly #dropped: number;
  /** Names of the places' masks, and the width of the hidden states there. */
  readonly #places: { readonly name: string; readonly width: number }[] = [];

  /** @param rate share of the elements that are dropped, below 1 */
  constructor(rate: number) {
    this.#dropped = Math.round(rate * RESOLUTION);
  }

  /** Hidden states with some elements 0 and the others larger by as much; every call is a place with its own mask. */
  readonly apply = (x: Tensor): Tensor => {
    if (this.#dropped === 0) return x;
    const width = x.shape.at(-1) as number;
    const name = `dropout.${this.#places.length}`;
    this.#places.push({ name, width });
    const kept = input(name, "uint8", ["pictures", "captions", "length", width]);
    const scale = RESOLUTION / (RESOLUTION - this.#dropped);
    return multiply(x, reshape(multiply(cast(kept, "float32"), scale), x.shape));
  };

  /**
   * The masks of all places. An element's fate depends on the key, its place, picture, caption, position and channel,
   * and on nothing else: not on how the step's pictures are split, nor on how far captions are padded.
   * @param firstPicture where in the step's pictures the first of these stands
   */
  masks(
    { seed, step }: DropoutKey,
    firstPicture: number,
    [pictures, captions, length]: readonly [number, number, number],
  ): Record<string, HostTensor> {
    return Object.fromEntries(
      this.#places.map(({ name, width }, place) => {
        const key: Words = [seed | 0, Math.floor(seed / 2 ** 32), step, place];
        const data = new Uint8Array(pictures * captions * length * width);
        let at = 0;
        for (let picture = 0; picture < pictures; picture++)
          for (let caption = 0; caption < captions; caption++)
            for (let position = 0; position < length; position++, at += width)
              this.#fill(data.subarray(at, at + width), key, firstPicture + picture, caption, position);
        return [name, { dtype: "uint8", shape: [pictures, captions, length, width], data }];
      }),
    );
  }

  #fill(kept: Uint8Array, key: Words, picture: number, caption: number, position: number): void {
    const dropped = this.#dropped;
    for (let i = 0; i < kept.length; i++) {
      const lane = i & 7;
      if (lane === 0) threefry(key, picture, caption, position, i >>> 3, words);
      const word = words[lane >> 1]!;
      kept[i] = (lane & 1 ? word >>> 16 : word & 0xffff) < dropped ? 0 : 1;
    }
  }
}

const words = new Int32Array(4);
