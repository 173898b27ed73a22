import { captionsIn, type DatasetEntry } from "../data/dataset.js";
import { hashText } from "../data/hash-text.js";
import { randomNumbers } from "../model/random.js";

/** A caption to be learnt. */
export interface ChosenCaption {
  /** As the recipe names it. */
  readonly language: string;
  readonly text: string;
}

export interface LanguageMixOptions {
  readonly languages: readonly string[];
  /** By language, the share of passes over a picture that learn its caption, from 0 to 1. Default 1. */
  readonly weights?: Readonly<Record<string, number>>;
  readonly seed: number;
}

/**
 * Chooses what a pass over a picture learns of it: the languages whose turn it is, of each a caption, in turn as well.
 *
 * Language i has its turn in pass p where ⌊wᵢ(p + 1) + oᵢ⌋ > ⌊wᵢp + oᵢ⌋. The offsets oᵢ start at random for each
 * picture and lie the weights apart, so that turns do not fall together: with four languages of weight ¼, each pass
 * learns one, and four passes all of them. Where no language of a picture has its turn, the one that is closest does.
 */
export class LanguageMix {
  constructor(private readonly options: LanguageMixOptions) {}

  choose(entry: DatasetEntry, pass: number): ChosenCaption[] {
    const { languages, weights = {}, seed } = this.options;
    let offset = randomNumbers(seed ^ hashText(entry.image))();
    const available: (ChosenCaption & { readonly hasTurn: boolean; readonly closeness: number })[] = [];
    for (const language of languages) {
      const weight = weights[language] ?? 1;
      const texts = captionsIn(entry, language);
      const position = weight * pass + offset;
      const hasTurn = Math.floor(position + weight) > Math.floor(position);
      // Its turns so far, not its passes, count the captions: none is left out for good.
      const turn = Math.floor(position);
      if (texts.length > 0)
        available.push({ language, text: texts[turn % texts.length]!, hasTurn, closeness: position % 1 });
      offset += weight;
    }
    const chosen = available.filter(({ hasTurn }) => hasTurn);
    if (chosen.length > 0 || available.length === 0) return chosen;
    return [available.reduce((a, b) => (b.closeness > a.closeness ? b : a))];
  }
}
