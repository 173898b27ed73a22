/**
 * sacreBLEU 2.6's tokenizers. Like the scripts they stand for, they are rewriting steps that put spaces around
 * tokens.
 */
import { SPACES } from "./word-tokenizer.js";

export const SACREBLEU_TOKENIZERS = ["13a", "intl", "char", "none"] as const;
export type SacreBleuTokenizer = (typeof SACREBLEU_TOKENIZERS)[number];

export function sacreBleuTokens(text: string, tokenizer: SacreBleuTokenizer): string[] {
  return SPACED[tokenizer](text)
    .split(SPACES)
    .filter((token) => token !== "");
}

const SPACED: Readonly<Record<SacreBleuTokenizer, (text: string) => string>> = {
  /** mteval-v13a.pl's: English punctuation, with numbers such as 1,000.50 whole. */
  "13a": (text) =>
    ` ${unescaped(text)} `
      .replace(/([{-~[-` -&(-+:-@/])/g, " $1 ")
      .replace(/([^0-9])([.,])/g, "$1 $2 ")
      .replace(/([.,])([^0-9])/g, " $1 $2")
      .replace(/([0-9])(-)/g, "$1 $2 "),
  /** mteval-v14.pl's: every script's punctuation and symbols. */
  intl: (text) =>
    text
      .trimEnd()
      .replace(/(\P{N})(\p{P})/gu, "$1 $2 ")
      .replace(/(\p{P})(\P{N})/gu, " $1 $2")
      .replace(/(\p{S})/gu, " $1 "),
  char: (text) => [...text].join(" "),
  none: (text) => text,
};

function unescaped(text: string): string {
  return text
    .trimEnd()
    .replaceAll("<skipped>", "")
    .replaceAll("-\n", "")
    .replaceAll("\n", " ")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">");
}
