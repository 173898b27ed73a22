/** Special tokens written literally in a text, such as "<mask>", which Hugging Face's tokenizers take as tokens. */

export interface SpecialToken {
  readonly id: number;
  readonly content: string;
  /** Takes the white space before it along. */
  readonly stripsLeft: boolean;
  /** Takes the white space behind it along. */
  readonly stripsRight: boolean;
}

/** A special token's id, or text between special tokens. */
export type TextPart = number | string;

/** Cuts texts at the special tokens they contain; of several that begin at one place, the longest counts. */
export function specialTokenSplitter(tokens: readonly SpecialToken[]): (text: string) => TextPart[] {
  const byContent = new Map(
    tokens.filter(({ content }) => content !== "").map((token) => [token.content, token]),
  );
  const longestFirst = [...byContent.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(longestFirst.map(escapeRegExp).join("|") || "(?!)", "g");

  return (text) => {
    const parts: TextPart[] = [];
    let done = 0;
    const pushText = (end: number) => {
      if (end > done) parts.push(text.slice(done, end));
    };
    for (const match of text.matchAll(pattern)) {
      const token = byContent.get(match[0])!;
      pushText(token.stripsLeft ? whitespaceStart(text, match.index, done) : match.index);
      parts.push(token.id);
      const end = match.index + match[0].length;
      done = token.stripsRight ? whitespaceEnd(text, end) : end;
    }
    pushText(text.length);
    return parts;
  };
}

const whitespace = /\p{White_Space}/u;

function whitespaceStart(text: string, end: number, lowest: number): number {
  let start = end;
  while (start > lowest && whitespace.test(text[start - 1]!)) start--;
  return start;
}

function whitespaceEnd(text: string, start: number): number {
  let end = start;
  while (end < text.length && whitespace.test(text[end]!)) end++;
  return end;
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
