/**
 * The normalisers and pre-tokenizers of Hugging Face's tokenizers library (https://github.com/huggingface/tokenizers)
 * that its fast versions of SentencePiece tokenizers are built from. They come near SentencePiece without being
 * equal to it: a space at the end of a text survives as a lone "▁", and runs of spaces collapse before the
 * leading one is added.
 */
import type { CharsMap } from "./chars-map.js";
import { spaceSymbol } from "./normalizer.js";

export type NormalizerStep = (text: string) => string;

/** Cuts normalised text into words, which are segmented one by one. */
export type PreTokenizerStep = (text: string) => string[];

// Rewriting a character costs a walk through the trie; texts repeat a few hundred of them.
const maximalCachedGraphemes = 10_000;

/**
 * The `Precompiled` normaliser: a grapheme of fewer than six bytes is replaced whole by the shortest rule that
 * matches its beginning; otherwise each of its characters is replaced by itself.
 */
export function precompiled(charsMap: CharsMap): NormalizerStep {
  const cache = new Map<string, string>();
  const encoder = new TextEncoder();
  const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });

  const shortest = (text: string) => charsMap.shortestMatch(encoder.encode(text))?.replacement;
  const rewrite = (grapheme: string) => {
    const whole = encoder.encode(grapheme).length < 6 ? shortest(grapheme) : undefined;
    return whole ?? Array.from(grapheme, (character) => shortest(character) ?? character).join("");
  };
  const cachedRewrite = (grapheme: string) => {
    let text = cache.get(grapheme);
    if (text === undefined) {
      text = rewrite(grapheme);
      if (cache.size >= maximalCachedGraphemes) cache.clear();
      cache.set(grapheme, text);
    }
    return text;
  };

  return (text) => {
    let rewritten = "";
    if (hasOnlySingleGraphemes(text)) {
      for (const character of text) rewritten += cachedRewrite(character);
    } else {
      for (const { segment } of segmenter.segment(text)) rewritten += cachedRewrite(segment);
    }
    return rewritten;
  };
}

/** Below U+0300, where the combining characters begin, only a carriage return joins its neighbour. */
function hasOnlySingleGraphemes(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit >= 0x300 || unit === 0x0d) return false;
  }
  return true;
}

/** `Replace` of runs of two and more spaces, the one regular expression that SentencePiece conversions contain. */
export function collapseSpaces(content: string): NormalizerStep {
  return (text) => text.replace(/ {2,}/g, content);
}

export function replaceText(pattern: string, content: string): NormalizerStep {
  return (text) => text.replaceAll(pattern, () => content);
}

export function strip({ left, right }: { readonly left: boolean; readonly right: boolean }): NormalizerStep {
  return (text) => {
    const stripped = left ? text.replace(/^\p{White_Space}+/u, "") : text;
    return right ? trimEnd(stripped) : stripped;
  };
}

/** What `/\p{White_Space}+$/` does, without its quadratic time on long runs of spaces inside a text. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && /\p{White_Space}/u.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

export interface MetaspaceOptions {
  /** Begin every text with a "▁". */
  readonly prepend: boolean;
  /** Let every "▁" open a word. */
  readonly split: boolean;
}

/** `Metaspace`: spaces become "▁". */
export function metaspace({ prepend, split }: MetaspaceOptions): PreTokenizerStep {
  return (text) => {
    if (text === "") return [];
    const marked = text.replaceAll(" ", spaceSymbol);
    const whole = prepend && !marked.startsWith(spaceSymbol) ? spaceSymbol + marked : marked;
    return split ? whole.split(wordStart) : [whole];
  };
}

const wordStart = new RegExp(`(?=${spaceSymbol})`);

/** `WhitespaceSplit`. */
export const splitAtWhitespace: PreTokenizerStep = (text) =>
  text.split(/\p{White_Space}+/u).filter((word) => word !== "");
