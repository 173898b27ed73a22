import type { HostTensor } from "../engine/engine.js";
import type { DropoutKey } from "./dropout.js";
import { threefry, type Words } from "./threefry.js";

/** The start token and the language always stay. */
const KEPT_TOKENS = 2;

/** Its own place among those that random numbers are for: those of hidden states count up from 0. */
const PLACE = 0xffff;

/**
 * Word dropout (Bowman et al. 2016, "Generating sentences from a continuous space"): tokens that the decoder reads
 * become `<mask>`, so that it has to learn the next word from the picture where it cannot guess it from the words before.
 * What it has to say, the labels, stays. A token's fate depends on the key, its picture, caption and position alone.
 */
export class InputDropout {
  /** @param rate share of the tokens that are masked, below 1 */
  constructor(
    private readonly rate: number,
    private readonly maskId: number,
  ) {}

  /**
   * @param ids [pictures, captions, length]
   * @param firstPicture where in the step's pictures the first of these stands
   */
  apply(ids: HostTensor, { seed, step }: DropoutKey, firstPicture: number): HostTensor {
    if (this.rate === 0) return ids;
    const key: Words = [seed | 0, Math.floor(seed / 2 ** 32), step, PLACE];
    const [pictures, captions, length] = ids.shape as [number, number, number];
    const data = (ids.data as BigInt64Array).slice();
    for (let row = 0; row < pictures * captions; row++) {
      const picture = firstPicture + Math.floor(row / captions);
      for (let position = KEPT_TOKENS; position < length; position++) {
        threefry(key, picture, row % captions, position, 0, words);
        if ((words[0]! >>> 0) / 2 ** 32 < this.rate) data[row * length + position] = BigInt(this.maskId);
      }
    }
    return { ...ids, data };
  }
}

const words = new Int32Array(4);
