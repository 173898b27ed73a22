/**
 * chrF (Popović 2015, https://aclanthology.org/W15-3049) and chrF++ (2017, https://aclanthology.org/W17-4770) as
 * sacreBLEU 2.6 computes them: F2 of character n-grams up to 6, white space left out, and for chrF++ of words and
 * pairs of words too.
 */
import type { Statistics } from "./bootstrap.js";
import { matchesOf, NgramCounts, NgramIndex, type Ngrams } from "./ngrams.js";
import { SPACES } from "./word-tokenizer.js";

const CHARACTER_ORDERS = 6;
const WORD_ORDERS = 2;
const BETA = 2;

export type ChrfKind = "chrf" | "chrf++";

/** A row a segment: for each order the n-grams of the hypothesis, of its best reference, and those they share. */
export type ChrfStatistics = Readonly<Record<ChrfKind, Statistics>>;

/** @param references of each hypothesis, at least one; the one that gives the best score counts */
export function chrfStatistics(
  hypotheses: readonly string[],
  references: readonly (readonly string[])[],
): ChrfStatistics {
  const rows: Record<ChrfKind, number[][]> = { chrf: [], "chrf++": [] };
  const characters = new Matcher(CHARACTER_ORDERS);
  const words = new Matcher(WORD_ORDERS);
  for (const [i, hypothesis] of hypotheses.entries()) {
    const ofCharacters = characters.match(charactersOf(hypothesis), references[i]!.map(charactersOf));
    const ofWords = words.match(wordsOf(hypothesis), references[i]!.map(wordsOf));
    const candidates = ofCharacters.map((row, j) => [...row, ...ofWords[j]!]);
    rows.chrf.push(best(candidates.map((row) => row.slice(0, 3 * CHARACTER_ORDERS))));
    rows["chrf++"].push(best(candidates));
  }
  return rows;
}

/** Points from 0 to 100, from the sum of segments' statistics of either kind. */
export function chrfOf(statistics: readonly number[]): number {
  let precision = 0;
  let recall = 0;
  let orders = 0;
  for (let i = 0; i < statistics.length; i += 3) {
    const [hypothesis = 0, reference = 0, shared = 0] = statistics.slice(i, i + 3);
    if (hypothesis === 0 || reference === 0) continue; // An order that texts are too short for does not count.
    precision += shared / hypothesis;
    recall += shared / reference;
    orders += 1;
  }
  if (precision + recall === 0) return 0;
  const weight = BETA ** 2;
  return (100 * (1 + weight) * precision * recall) / (weight * precision + recall) / orders;
}

function best(rows: readonly number[][]): number[] {
  return rows.reduce((first, row) => (chrfOf(row) > chrfOf(first) ? row : first));
}

function charactersOf(text: string): string[] {
  return [...text.split(SPACES).join("")];
}

const PUNCTUATION = /[!-/:-@[-`{-~]/;

/** Words, with one punctuation mark split off at the end or, where there is none, at the start. */
function wordsOf(text: string): string[] {
  return text.split(SPACES).flatMap((word) => {
    if (word === "") return [];
    const characters = [...word];
    const last = characters.at(-1)!;
    if (characters.length === 1) return word;
    if (PUNCTUATION.test(last)) return [word.slice(0, -1), last];
    return PUNCTUATION.test(characters[0]!) ? [word[0]!, word.slice(1)] : word;
  });
}

/** Compares n-grams of one kind of token. */
class Matcher {
  readonly #index: NgramIndex;
  readonly #inReference: NgramCounts;
  readonly #inHypothesis: NgramCounts;

  constructor(orders: number) {
    this.#index = new NgramIndex(orders);
    this.#inReference = new NgramCounts(this.#index);
    this.#inHypothesis = new NgramCounts(this.#index);
  }

  /** A row for each reference. */
  match(hypothesis: readonly string[], references: readonly (readonly string[])[]): number[][] {
    const own = this.#index.numbersOf(hypothesis);
    return references.map((reference) => this.#compare(own, this.#index.numbersOf(reference)));
  }

  #compare(hypothesis: Ngrams, reference: Ngrams): number[] {
    this.#inReference.addAll(reference);
    const shared = matchesOf(hypothesis, this.#inReference, this.#inHypothesis);
    this.#inReference.clear(reference);
    return shared.flatMap((count, i) => {
      const total = reference.counts[i]!;
      return [total > 0 ? hypothesis.counts[i]! : 0, total, count];
    });
  }
}
