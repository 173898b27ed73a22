/** Sentences of like length side by side, so that little of a batch is padding. */

/** Tokens of a batch with its padding, and sentences: what is computed at once, and how much memory that takes. */
export interface BatchLimits {
  readonly tokens: number;
  readonly sentences: number;
}

/**
 * Places of the sentences, in batches within the limits, longest first: if a batch does not fit into the memory, that
 * shows at once.
 * @param lengths tokens of each sentence
 */
export function batchesByLength(lengths: readonly number[], { tokens, sentences }: BatchLimits): number[][] {
  const order = lengths.map((_, place) => place).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const batches: number[][] = [];
  for (let first = 0; first < order.length; ) {
    const longest = Math.max(1, lengths[order[first]!]!);
    const count = Math.max(1, Math.min(sentences, Math.floor(tokens / longest)));
    batches.push(order.slice(first, first + count));
    first += count;
  }
  return batches;
}
