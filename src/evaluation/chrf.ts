/**
 * chrF (Popović 2015, https://aclanthology.org/W15-3049) and chrF++ (2017, https://aclanthology.org/W17-4770) as
 * sacreBLEU 2.6 computes them: F2 of character n-grams up to 6, white space left out, and for chrF++ of words and
 * pairs of words too.
 */
import type { Statistics } from "./bootstrap.js";
import { countNgrams } from "./ngrams.js";
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
  for (const [i, text] of hypotheses.entries()) {
    const hypothesis = ngramsOf(text);
    const candidates = references[i]!.map((reference) => compare(hypothesis, ngramsOf(reference)));
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

/** Counts by order: characters' six, then words' two. */
type Ngrams = readonly ReadonlyMap<string, number>[];

function ngramsOf(text: string): Ngrams {
  const characters = text.split(SPACES).join("");
  const words = wordsOf(text);
  return [
    ...characterNgrams(characters),
    ...Array.from({ length: WORD_ORDERS }, (_, i) => countNgrams(words, i + 1, i + 1)),
  ];
}

function characterNgrams(text: string): Map<string, number>[] {
  // Most texts have a character in each code unit, and slices of them are cheap.
  const units = /[\ud800-\udfff]/.test(text) ? [...text] : text;
  return Array.from({ length: CHARACTER_ORDERS }, (_, i) => {
    const counts = new Map<string, number>();
    for (let end = i + 1; end <= units.length; end++) {
      const slice = units.slice(end - i - 1, end);
      const ngram = typeof slice === "string" ? slice : slice.join("");
      counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
    }
    return counts;
  });
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

function compare(hypothesis: Ngrams, reference: Ngrams): number[] {
  return hypothesis.flatMap((counts, i) => {
    const others = reference[i]!;
    let total = 0;
    let shared = 0;
    for (const [ngram, count] of counts) {
      total += count;
      const other = others.get(ngram);
      if (other !== undefined) shared += Math.min(count, other);
    }
    let referenceTotal = 0;
    for (const count of others.values()) referenceTotal += count;
    return [others.size > 0 ? total : 0, referenceTotal, shared];
  });
}
