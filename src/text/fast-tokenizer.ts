/**
 * What Hugging Face's fast tokenizers do with a unigram vocabulary: cut the text at literal special tokens,
 * normalise, cut into words, segment each word. `tokenizer.json` states the steps; a SentencePiece model of
 * mBART is converted to the same ones, as `MBart50TokenizerFast` does.
 */
import type { NormalizerStep, PreTokenizerStep } from "./fast-normalizer.js";
import { spaceSymbol } from "./normalizer.js";
import { PieceTrie } from "./piece-trie.js";
import { type SpecialToken, specialTokenSplitter, type TextPart } from "./special-tokens.js";
import { Unigram, unknownPenalty } from "./unigram.js";

export interface FastTokenizerDefinition {
  /** Texts of all ids, special tokens included. */
  readonly pieces: readonly string[];
  /** Log-probability of each piece of the unigram model, 0 for special tokens; may end before `pieces` does. */
  readonly scores: Float64Array;
  readonly unknownId: number;
  readonly normalizers: readonly NormalizerStep[];
  readonly preTokenizers: readonly PreTokenizerStep[];
  readonly specialTokens: readonly SpecialToken[];
  /** The table behind the normalisers; absent where there is none. */
  readonly precompiledCharsMap?: Uint8Array;
}

export class FastTokenizer {
  readonly #unigram: Unigram;
  readonly #cut: (text: string) => TextPart[];
  readonly #specialIds: ReadonlySet<number>;

  constructor(readonly definition: FastTokenizerDefinition) {
    const { pieces, scores, unknownId, specialTokens } = definition;
    const trie = new PieceTrie();
    let lowest = Infinity;
    for (const [id, score] of scores.entries()) {
      trie.add(pieces[id]!, id);
      if (score < lowest) lowest = score;
    }
    this.#unigram = new Unigram({
      trie,
      scores,
      unknownId,
      unknownScore: lowest - unknownPenalty,
      precision: "float64",
    });
    this.#cut = specialTokenSplitter(specialTokens);
    this.#specialIds = new Set(specialTokens.map(({ id }) => id));
  }

  encode(text: string): number[] {
    const ids: number[] = [];
    // The library takes well-formed text only. As everywhere on the web, a lone surrogate becomes U+FFFD.
    for (const part of this.#cut(text.replace(/\p{Surrogate}/gu, "\ufffd"))) {
      if (typeof part === "number") {
        ids.push(part);
        continue;
      }
      for (const word of this.#words(part)) {
        for (const { id } of this.#unigram.segment(word)) ids.push(id);
      }
    }
    return ids;
  }

  #words(text: string): string[] {
    const { normalizers, preTokenizers } = this.definition;
    const normalized = normalizers.reduce((current, step) => step(current), text);
    return preTokenizers.reduce((words, step) => words.flatMap((word) => step(word)), [normalized]);
  }

  /** Text of all ids, or of those that are no special tokens. Nothing is cleaned up: "dog ." stays "dog .". */
  decode(ids: readonly number[], skipSpecialTokens: boolean): string {
    const shown = skipSpecialTokens ? ids.filter((id) => !this.#specialIds.has(id)) : ids;
    return shown
      .map((id, index) => this.definition.pieces[id]!.replaceAll(spaceSymbol, index === 0 ? "" : " "))
      .join("");
  }
}
