/**
 * CIDEr (Vedantam et al. 2015, https://arxiv.org/abs/1411.5726): how near a caption's n-grams are to its references',
 * each weighted by how few pictures have it.
 */
import { countNgrams, orderOf } from "./ngrams.js";

const ORDERS = 4;
/** Width of CIDEr-D's penalty for length, in pairs of words. */
const SIGMA = 6;
const SCALE = 10;

export interface CiderSegment {
  /** Tokens, which hold no spaces. */
  readonly hypothesis: readonly string[];
  /** Tokens of at least one reference. */
  readonly references: readonly (readonly string[])[];
}

export interface CiderScores {
  /** CIDEr-D of each segment, which COCO's evaluation calls CIDEr: from 0 to 10. */
  readonly ciderD: readonly number[];
  /** The same without the limit on repeated words and the penalty for length: the paper's first formula. */
  readonly plain: readonly number[];
}

/**
 * Scores of each segment; a corpus's is their mean. Weights come from all references together, so that a segment's
 * score depends on the others: alone it is 0.
 */
export function cider(segments: readonly CiderSegment[]): CiderScores {
  const references = segments.map((segment) =>
    segment.references.map((tokens) => countNgrams(tokens, 1, ORDERS)),
  );
  const rarity = rarityOf(references);
  const ciderD: number[] = [];
  const plain: number[] = [];
  for (const [i, segment] of segments.entries()) {
    const hypothesis = vectorOf(
      countNgrams(segment.hypothesis, 1, ORDERS),
      segment.hypothesis.length,
      rarity,
    );
    let [limited, unlimited] = [0, 0];
    for (const [j, counts] of references[i]!.entries()) {
      const reference = vectorOf(counts, segment.references[j]!.length, rarity);
      const similarities = similarityOf(hypothesis, reference);
      limited += similarities.limited;
      unlimited += similarities.unlimited;
    }
    ciderD.push((SCALE * limited) / segment.references.length);
    plain.push((SCALE * unlimited) / segment.references.length);
  }
  return { ciderD, plain };
}

/** Natural logarithm of the share of segments whose references have an n-gram, negated. */
function rarityOf(
  references: readonly (readonly ReadonlyMap<string, number>[])[],
): (ngram: string) => number {
  const segmentsWith = new Map<string, number>();
  for (const counts of references) {
    for (const ngram of new Set(counts.flatMap((map) => [...map.keys()])))
      segmentsWith.set(ngram, (segmentsWith.get(ngram) ?? 0) + 1);
  }
  const all = Math.log(references.length);
  return (ngram) => all - Math.log(segmentsWith.get(ngram) ?? 1);
}

interface Vector {
  readonly weights: ReadonlyMap<string, number>;
  /** Euclidean length by order. */
  readonly norms: readonly number[];
  /** Pairs of words. */
  readonly pairs: number;
}

function vectorOf(
  counts: ReadonlyMap<string, number>,
  tokens: number,
  rarity: (ngram: string) => number,
): Vector {
  const squares = new Array<number>(ORDERS).fill(0);
  const weights = new Map<string, number>();
  for (const [ngram, count] of counts) {
    const weight = count * rarity(ngram);
    weights.set(ngram, weight);
    squares[orderOf(ngram) - 1]! += weight ** 2;
  }
  return { weights, norms: squares.map(Math.sqrt), pairs: Math.max(0, tokens - 1) };
}

/** Mean cosine over the orders, with and without CIDEr-D's changes. */
function similarityOf(hypothesis: Vector, reference: Vector): { limited: number; unlimited: number } {
  const limited = new Array<number>(ORDERS).fill(0);
  const unlimited = new Array<number>(ORDERS).fill(0);
  for (const [ngram, weight] of hypothesis.weights) {
    const other = reference.weights.get(ngram);
    if (other === undefined) continue;
    const order = orderOf(ngram) - 1;
    limited[order]! += Math.min(weight, other) * other;
    unlimited[order]! += weight * other;
  }
  const cosine = (products: readonly number[]) =>
    products.reduce((sum, product, order) => {
      const norms = hypothesis.norms[order]! * reference.norms[order]!;
      return norms === 0 ? sum : sum + product / norms;
    }, 0) / ORDERS;
  const penalty = Math.exp(-((hypothesis.pairs - reference.pairs) ** 2) / (2 * SIGMA ** 2));
  return { limited: penalty * cosine(limited), unlimited: cosine(unlimited) };
}
