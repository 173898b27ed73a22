/** How the published model was evaluated, and what came of it: its model card. */
import type { CaptionOptions } from "../captioner/options.js";

type FourBleu = readonly [number, number, number, number];

/** The card's example and its evaluation script. */
export const ORIGINAL_SEARCH = { beams: 4, maxLength: 64 } as const satisfies CaptionOptions;

export const PUBLISHED: {
  /** "~2.6", at about 60 K steps. */
  readonly loss: number;
  /** `bleuChunks` of checkpoint 51,999 on the validation set, by ISO code, in the order of the card's table. */
  readonly bleu: Readonly<Record<string, FourBleu>>;
} = {
  loss: 2.6,
  bleu: {
    en: [0.13083, 0.08887, 0.06681, 0.04899],
    es: [0.15981, 0.09858, 0.06918, 0.04776],
    de: [0.14234, 0.09817, 0.07405, 0.0515],
    fr: [0.13021, 0.08862, 0.06598, 0.04647],
  },
};
