/**
 * How SentencePiece prepares text before it looks for pieces: `Normalizer::Normalize` of
 * https://github.com/google/sentencepiece/blob/master/src/normalizer.cc, byte for byte.
 */
import { CharsMap } from "./chars-map.js";
import { PieceTrie } from "./piece-trie.js";
import type { NormalizerSpec } from "./sentencepiece-model.js";

/** "▁" (U+2581), which stands for a space inside pieces. */
export const spaceSymbol = "\u2581";

export interface NormalizerOptions {
  readonly spec: NormalizerSpec;
  /** Spaces stand at the end of pieces instead of the beginning. Default false. */
  readonly whitespaceAsSuffix?: boolean;
  /** Texts that are taken as they are (user-defined pieces). Default none. */
  readonly protectedTexts?: readonly string[];
}

export type Normalizer = (text: string) => string;

/** Lone surrogates, which UTF-8 cannot carry, count as U+FFFD. */
export function sentencePieceNormalizer(options: NormalizerOptions): Normalizer {
  const { spec, whitespaceAsSuffix = false, protectedTexts = [] } = options;
  const charsMap = spec.precompiledCharsMap.length > 0 ? new CharsMap(spec.precompiledCharsMap) : undefined;
  const space = spec.escapeWhitespaces ? spaceSymbol : " ";
  const prefixes = new PieceTrie();
  // A trie of bytes: each stands for the code unit of the same number.
  for (const text of protectedTexts) prefixes.add(String.fromCharCode(...encoder.encode(text)), 0);

  return (text) => {
    const chunks = rewrite(encoder.encode(text), charsMap, prefixes);
    let first = 0;
    if (spec.removeExtraWhitespaces) while (chunks[first] === " ") first++;
    if (first === chunks.length) return "";

    let normalized = spec.addDummyPrefix && !whitespaceAsSuffix ? space : "";
    let afterSpace = spec.removeExtraWhitespaces;
    for (const chunk of chunks.slice(first)) {
      const kept = afterSpace ? chunk.replace(/^ +/, "") : chunk;
      if (kept === "") continue;
      normalized += spec.escapeWhitespaces ? kept.replaceAll(" ", spaceSymbol) : kept;
      afterSpace = spec.removeExtraWhitespaces && kept.endsWith(" ");
    }
    if (spec.removeExtraWhitespaces) {
      let end = normalized.length;
      while (normalized[end - 1] === space) end--;
      normalized = normalized.slice(0, end);
    }
    return spec.addDummyPrefix && whitespaceAsSuffix ? normalized + space : normalized;
  };
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** `Normalizer::NormalizePrefix` until the text is used up. Chunks stay apart: the whitespace rules see each one. */
function rewrite(utf8: Uint8Array, charsMap: CharsMap | undefined, protectedPrefixes: PieceTrie): string[] {
  const chunks: string[] = [];
  for (let at = 0; at < utf8.length; ) {
    const protectedBytes = longestPrefix(protectedPrefixes, utf8, at);
    const rule = protectedBytes > 0 ? undefined : charsMap?.longestMatch(utf8, at);
    const length = protectedBytes || (rule?.length ?? characterBytes(utf8[at]!));
    chunks.push(rule?.replacement ?? decoder.decode(utf8.subarray(at, at + length)));
    at += length;
  }
  return chunks;
}

function longestPrefix(trie: PieceTrie, utf8: Uint8Array, start: number): number {
  let longest = 0;
  let node = PieceTrie.root;
  for (let at = start; at < utf8.length; at++) {
    node = trie.child(node, utf8[at]!);
    if (node < 0) break;
    if (trie.value(node) >= 0) longest = at + 1 - start;
  }
  return longest;
}

/** Bytes of the UTF-8 character with this leading byte. */
function characterBytes(leadingByte: number): number {
  if (leadingByte < 0x80) return 1;
  if (leadingByte < 0xe0) return 2;
  return leadingByte < 0xf0 ? 3 : 4;
}
