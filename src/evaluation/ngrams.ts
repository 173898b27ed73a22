/**
 * How often each n-gram of `from` to `to` tokens occurs, by its tokens with spaces between. Tokens hold no spaces, so
 * n-grams of different lengths never share a name.
 */
export function countNgrams(tokens: readonly string[], from: number, to: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let start = 0; start < tokens.length; start++) {
    let ngram = "";
    for (let order = 1; order <= to && start + order <= tokens.length; order++) {
      const token = tokens[start + order - 1]!;
      ngram = order === 1 ? token : `${ngram} ${token}`;
      if (order >= from) counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
    }
  }
  return counts;
}

/** Tokens of an n-gram that `countNgrams` named. */
export function orderOf(ngram: string): number {
  let order = 1;
  for (let space = ngram.indexOf(" "); space >= 0; space = ngram.indexOf(" ", space + 1)) order += 1;
  return order;
}
