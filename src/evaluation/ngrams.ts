/** Places of a table to start with; a power of two, as is what an entry takes. */
const TABLE = 2 ** 12;
const ENTRY = 4;

/**
 * Numbers for n-grams, so that counting them is indexing into an array. An n-gram's number is found from that of the
 * n-gram without its last token and from that token's.
 */
export class NgramIndex {
  readonly #tokens = new Map<string, number>();
  /** An open-addressed table of entries: a shorter n-gram's number plus 1, a token's, and that of the two together. */
  #table = new Int32Array(TABLE * ENTRY);
  #entries = 0;
  readonly #counts: (readonly number[])[] = [];
  #size = 0;

  /** @param orders n-grams have from 1 to so many tokens */
  constructor(readonly orders: number) {}

  /** How many different n-grams there were: their numbers are from 0 to this - 1. */
  get size(): number {
    return this.#size;
  }

  /** Of one text. */
  numbersOf(tokens: readonly string[]): Ngrams {
    return this.numbersOfAll([tokens])[0]!;
  }

  /** Of many texts, in one stretch of memory. */
  numbersOfAll(texts: readonly (readonly string[])[]): Ngrams[] {
    const all = texts.map(({ length }) => this.#countsOf(length));
    const numbers = new Int32Array(all.reduce((sum, counts) => sum + total(counts), 0));
    let end = 0;
    return texts.map((tokens, i) => {
      const from = end;
      end += total(all[i]!);
      const ngrams = { numbers, from, end, counts: all[i]! };
      this.#write(tokens, ngrams);
      return ngrams;
    });
  }

  #write(tokens: readonly string[], { numbers, from, counts }: Ngrams): void {
    for (let i = 0; i < tokens.length; i++) numbers[from + i] = this.#tokenNumber(tokens[i]!);
    let at = from + tokens.length;
    for (let order = 1; order < this.orders; order++) {
      // The n-gram at i is the shorter one at i and the token that follows it.
      const shorter = at - counts[order - 1]!;
      for (let i = 0; i < counts[order]!; i++)
        numbers[at + i] = this.#pairNumber(numbers[shorter + i]!, numbers[from + i + order]!);
      at += counts[order]!;
    }
  }

  /** Of a text of so many tokens, kept because many texts are as long as others. */
  #countsOf(length: number): readonly number[] {
    this.#counts[length] ??= Array.from({ length: this.orders }, (_, i) => Math.max(0, length - i));
    return this.#counts[length];
  }

  #tokenNumber(token: string): number {
    let number = this.#tokens.get(token);
    if (number === undefined) {
      number = this.#size++;
      this.#tokens.set(token, number);
    }
    return number;
  }

  #pairNumber(prefix: number, last: number): number {
    let at = this.#place(prefix, last);
    if (this.#table[at] !== 0) return this.#table[at + 2]!;
    if (2 * ENTRY * this.#entries >= this.#table.length) {
      this.#grow();
      at = this.#place(prefix, last);
    }
    this.#entries += 1;
    this.#enter(at, prefix, last, this.#size);
    return this.#size++;
  }

  /** Where the pair is, or the empty place where it belongs. */
  #place(prefix: number, last: number): number {
    const mask = this.#table.length - 1;
    const hash = Math.imul(prefix, 0x9e3779b1) ^ Math.imul(last, 0x85ebca6b);
    let at = Math.imul(hash ^ (hash >>> 15), ENTRY) & mask;
    while (this.#table[at] !== 0 && (this.#table[at] !== prefix + 1 || this.#table[at + 1] !== last))
      at = (at + ENTRY) & mask;
    return at;
  }

  #enter(at: number, prefix: number, last: number, number: number): void {
    this.#table[at] = prefix + 1;
    this.#table[at + 1] = last;
    this.#table[at + 2] = number;
  }

  #grow(): void {
    const old = this.#table;
    this.#table = new Int32Array(2 * old.length);
    for (let i = 0; i < old.length; i += ENTRY) {
      if (old[i] === 0) continue;
      const [prefix, last] = [old[i]! - 1, old[i + 1]!];
      this.#enter(this.#place(prefix, last), prefix, last, old[i + 2]!);
    }
  }
}

/** The n-grams of a text. */
export interface Ngrams {
  /** From `from` to before `end`: those of one token in the order they start, then those of two, … */
  readonly numbers: Int32Array;
  readonly from: number;
  readonly end: number;
  /** How many of one token there are, of two, … */
  readonly counts: readonly number[];
}

function total(counts: readonly number[]): number {
  let sum = 0;
  for (const count of counts) sum += count;
  return sum;
}

/** Counts by n-gram, all 0 between uses. */
export class NgramCounts {
  #counts = new Int32Array(TABLE);

  constructor(private readonly index: NgramIndex) {}

  /** How often the n-gram is there, after adding it once more. */
  add(ngram: number): number {
    if (ngram >= this.#counts.length) this.#grow();
    return ++this.#counts[ngram]!;
  }

  of(ngram: number): number {
    return this.#counts[ngram] ?? 0;
  }

  addAll({ numbers, from, end }: Ngrams): void {
    for (let at = from; at < end; at++) this.add(numbers[at]!);
  }

  /** Counts no n-gram of the text any more. */
  clear({ numbers, from, end }: Ngrams): void {
    for (let at = from; at < end; at++) this.#counts[numbers[at]!] = 0;
  }

  /** How often the n-gram is there; from now on it is not. */
  take(ngram: number): number {
    const count = this.of(ngram);
    if (count > 0) this.#counts[ngram] = 0;
    return count;
  }

  #grow(): void {
    const counts = new Int32Array(2 * this.index.size);
    counts.set(this.#counts);
    this.#counts = counts;
  }
}

/**
 * By order, how many of a text's n-grams are in another, each as often as there at most.
 * @param own all 0, as it is left
 */
export function matchesOf(text: Ngrams, there: NgramCounts, own: NgramCounts): number[] {
  let at = text.from;
  const matches = text.counts.map((count) => {
    let shared = 0;
    for (const end = at + count; at < end; at++) {
      const ngram = text.numbers[at]!;
      if (own.add(ngram) <= there.of(ngram)) shared += 1;
    }
    return shared;
  });
  own.clear(text);
  return matches;
}
