/**
 * Splits a sentence into words and punctuation exactly as NLTK 3.8's `NLTKWordTokenizer` does, which is what the
 * original computed its BLEU on. A whole caption is one sentence: a full stop is split off at its end only.
 *
 * The rules are rewriting steps that put spaces around tokens, from Robert MacIntyre's Penn Treebank tokenizer with
 * NLTK's additions (Apache-2.0). They are English; the original used them for its four languages alike.
 */

/** Python's idea of a word character, a digit and a space, which differ from JavaScript's. */
const WORD = "[\\p{L}\\p{N}_]";
const DIGIT = "\\p{Nd}";
const SPACE = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";

type Rule = readonly [pattern: RegExp, replacement: string];

function rule(pattern: string, replacement: string, flags = ""): Rule {
  return [new RegExp(pattern, `gu${flags}`), replacement];
}

const OPENING_QUOTES: readonly Rule[] = [
  rule("[«“‘„]|`+", " $& "),
  rule('^"', "``"),
  rule("``", " $& "),
  rule("([ ([{<])(?:\"|'{2})", "$1 `` "),
  // A single letter behind an apostrophe, unless it is an English clitic.
  rule(`'(?!re|ve|ll|m|t|s|d|n)(${WORD})(?!${WORD})`, "' $1", "i"),
];

const PUNCTUATION: readonly Rule[] = [
  // The final full stop, with quotes and brackets behind it.
  rule(`([^.])\\.([\\])}>"'»”’ ]*)${SPACE}*$`, "$1 . $2 "),
  rule(`([:,])([^${DIGIT}])`, " $1 $2"),
  rule("[:,](?=\\n?$)", " $& "),
  rule("\\.{2,}", " $& "),
  rule("[;@#$%&]", " $& "),
  rule(`([^.])\\.([\\])}>"']*)${SPACE}*$`, "$1 .$2 "),
  rule("[?!]", " $& "),
  rule("([^'])' ", "$1 ' "),
  rule("\\*", " $& "),
  rule("[\\][(){}<>]", " $& "),
  rule("--", " $& "),
];

const CLOSING_QUOTES: readonly Rule[] = [
  rule("[»”’]", " $& "),
  rule("''", " '' "),
  rule('"', " '' "),
  rule("([^' ])('[sS]|'[mM]|'[dD]|') ", "$1 $2 "),
  rule("([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", "$1 $2 "),
];

// Python lets i stand for İ and ı where case is ignored.
const CONTRACTIONS: readonly Rule[] = [
  ...["(can)(not)", "(d)('ye)", "(g[iİı]m)(me)", "(gon)(na)", "(got)(ta)", "(lem)(me)", "(more)('n)"].map(
    (contraction) => rule(`(?<!${WORD})${contraction}(?!${WORD})`, " $1 $2 ", "i"),
  ),
  rule(`(?<!${WORD})(wan)(na)${SPACE}`, " $1 $2 ", "i"),
  rule(` ('t)([iİı]s)(?!${WORD})`, " $1 $2 ", "i"),
  rule(` ('t)(was)(?!${WORD})`, " $1 $2 ", "i"),
];

/** What Python's `str.split()` splits at. */
export const SPACES = new RegExp(`${SPACE}+`, "u");

/** The tokens of one caption. Straight double quotes become `` and ''. */
export function wordTokens(text: string): string[] {
  const padded = ` ${rewrite(rewrite(text, OPENING_QUOTES), PUNCTUATION)} `;
  return rewrite(rewrite(padded, CLOSING_QUOTES), CONTRACTIONS)
    .split(SPACES)
    .filter((token) => token !== "");
}

function rewrite(text: string, rules: readonly Rule[]): string {
  return rules.reduce((rewritten, [pattern, replacement]) => rewritten.replace(pattern, replacement), text);
}
