/** Long captions in parts that a model translates well: it was trained on sentences, and longer texts lose their ends. */

/** Where a text may be cut, the best places first: behind sentences, behind clauses, between words. */
const CUTS = [/(?<=[.!?…。！？]["'”’»)\]]*)\s+(?=\S)/u, /(?<=[,;:–—])\s+(?=\S)/u, /\s+(?=\S)/u];

/**
 * The text in parts of at most `most` tokens, cut where it reads best; together they are the whole text but for the
 * spaces between them. A word of more tokens is a part of its own.
 * @param count tokens of a text
 */
export function splitText(text: string, most: number, count: (text: string) => number): string[] {
  return split(text.trim(), most, count, 0);
}

function split(text: string, most: number, count: (text: string) => number, cut: number): string[] {
  const place = CUTS[cut];
  if (count(text) <= most || !place) return [text];
  const parts: string[] = [];
  for (const piece of text.split(place)) {
    const last = parts.at(-1);
    const joined = last === undefined ? piece : `${last} ${piece}`;
    // As much together as fits: the model sees more of what belongs together.
    if (last !== undefined && count(joined) <= most) parts[parts.length - 1] = joined;
    else parts.push(piece);
  }
  return parts.flatMap((part) => split(part, most, count, cut + 1));
}
