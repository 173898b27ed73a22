/**
 * CIDEr (Vedantam et al. 2015, https://arxiv.org/abs/1411.5726): how near a caption's n-grams are to its references',
 * each weighted by how few pictures have it.
 */
import { NgramCounts, NgramIndex, type Ngrams } from "./ngrams.js";

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
  const index = new NgramIndex(ORDERS);
  const hypotheses = index.numbersOfAll(segments.map((segment) => segment.hypothesis));
  const texts = index.numbersOfAll(segments.flatMap((segment) => segment.references)).values();
  const references = segments.map((segment) => segment.references.map(() => texts.next().value!));
  const visit = visitor(raritiesOf(references, index), new NgramCounts(index));

  // Everything below is overwritten for each text: there are many, and all are short.
  const weights = new Float64Array(index.size);
  const hypothesisNorms = new Float64Array(ORDERS);
  const referenceNorms = new Float64Array(ORDERS);
  /** Products of the weights of hypothesis and reference; limited, the former are at most the latter. */
  const limitedProducts = new Float64Array(ORDERS);
  const products = new Float64Array(ORDERS);
  const keep: Visit = (ngram, weight) => {
    weights[ngram] = weight;
  };
  const compare: Visit = (ngram, weight, order) => {
    const own = weights[ngram]!;
    limitedProducts[order]! += Math.min(own, weight) * weight;
    products[order]! += own * weight;
  };
  const meanCosine = (sums: Float64Array) => {
    let sum = 0;
    for (let order = 0; order < ORDERS; order++) {
      const norms = hypothesisNorms[order]! * referenceNorms[order]!;
      if (norms > 0) sum += sums[order]! / norms;
    }
    return sum / ORDERS;
  };

  const ciderD: number[] = [];
  const plain: number[] = [];
  for (const [i, hypothesis] of hypotheses.entries()) {
    visit(hypothesis, hypothesisNorms, keep);
    let [limited, unlimited] = [0, 0];
    for (const reference of references[i]!) {
      limitedProducts.fill(0);
      products.fill(0);
      visit(reference, referenceNorms, compare);
      limited += meanCosine(limitedProducts) * lengthPenalty(hypothesis, reference);
      unlimited += meanCosine(products);
    }
    for (let at = hypothesis.from; at < hypothesis.end; at++) weights[hypothesis.numbers[at]!] = 0;
    ciderD.push((SCALE * limited) / references[i]!.length);
    plain.push((SCALE * unlimited) / references[i]!.length);
  }
  return { ciderD, plain };
}

/** By n-gram, the natural logarithm of the share of segments whose references have it, negated. */
function raritiesOf(references: readonly (readonly Ngrams[])[], index: NgramIndex): Float64Array {
  const segmentsWith = new Float64Array(index.size);
  const last = new Int32Array(index.size).fill(-1);
  for (const [segment, texts] of references.entries()) {
    for (const { numbers, from, end } of texts) {
      for (let at = from; at < end; at++) {
        const ngram = numbers[at]!;
        if (last[ngram] === segment) continue;
        last[ngram] = segment;
        segmentsWith[ngram]! += 1;
      }
    }
  }
  const all = Math.log(references.length);
  return segmentsWith.map((count) => all - Math.log(Math.max(1, count)));
}

/** @param order from 0 */
type Visit = (ngram: number, weight: number, order: number) => void;

/** A function that calls back with each different n-gram of a text, and sets the weights' Euclidean lengths by order. */
function visitor(rarities: Float64Array, counts: NgramCounts) {
  return (text: Ngrams, norms: Float64Array, callback: Visit): void => {
    counts.addAll(text);
    let at = text.from;
    for (let order = 0; order < ORDERS; order++) {
      let squares = 0;
      for (const end = at + text.counts[order]!; at < end; at++) {
        const ngram = text.numbers[at]!;
        const weight = counts.take(ngram) * rarities[ngram]!;
        if (weight === 0) continue;
        squares += weight ** 2;
        callback(ngram, weight, order);
      }
      norms[order] = Math.sqrt(squares);
    }
  };
}

function lengthPenalty(hypothesis: Ngrams, reference: Ngrams): number {
  const difference = hypothesis.counts[1]! - reference.counts[1]!;
  return Math.exp(-(difference ** 2) / (2 * SIGMA ** 2));
}
