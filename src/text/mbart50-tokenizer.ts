/**
 * The tokenizer of mBART-50 (https://arxiv.org/abs/2008.00401), equal to Hugging Face's `MBart50TokenizerFast`,
 * which the original captioner was trained with. Ids: `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3, then SentencePiece's
 * ids plus one, the language codes, and `<mask>` last.
 */
import { LingolensError } from "../errors.js";
import { FastTokenizer, type FastTokenizerDefinition } from "./fast-tokenizer.js";
import { type Language, languages, resolveLanguage } from "./languages.js";

export interface EncodeOptions {
  /** Longest result in tokens, language code and `</s>` included; the text is cut to fit. Default: unlimited. */
  readonly maxLength?: number;
}

export interface DecodeOptions {
  /** Leave out `</s>`, language codes and the like. Default true. */
  readonly skipSpecialTokens?: boolean;
}

/** The special tokens before the pieces, by id. */
export const specialTokensInFront = ["<s>", "<pad>", "</s>", "<unk>"] as const;
export const maskToken = "<mask>";

export class Mbart50Tokenizer {
  readonly bosId = 0;
  readonly padId = 1;
  readonly eosId = 2;
  readonly unknownId = 3;
  readonly maskId: number;
  readonly vocabularySize: number;
  /** The languages that this tokenizer has codes for, in the order of their ids. */
  readonly languages: readonly Language[];
  readonly #tokenizer: FastTokenizer;
  readonly #languageIds: ReadonlyMap<string, number>;

  /** @throws {LingolensError} `tokenizer-damaged` where the vocabulary is not laid out as mBART-50's. */
  constructor(readonly definition: FastTokenizerDefinition) {
    for (const [id, token] of specialTokensInFront.entries()) {
      if (definition.pieces[id] !== token) {
        throw new LingolensError(
          "tokenizer-damaged",
          `This is not an mBART-50 tokenizer: expected ${token} as id ${id}, got ${definition.pieces[id] ?? "none"}.`,
        );
      }
    }
    this.maskId = definition.pieces.lastIndexOf(maskToken);
    if (this.maskId < 0) {
      throw new LingolensError(
        "tokenizer-damaged",
        `This is not an mBART-50 tokenizer: it has no ${maskToken}.`,
      );
    }
    this.#tokenizer = new FastTokenizer(definition);
    this.vocabularySize = definition.pieces.length;
    const specialIds = new Map(definition.specialTokens.map(({ content, id }) => [content, id]));
    const present = languages.filter(({ code }) => specialIds.has(code));
    this.#languageIds = new Map(present.map(({ code }) => [code, specialIds.get(code)!]));
    this.languages = present.sort((a, b) => this.#languageIds.get(a.code)! - this.#languageIds.get(b.code)!);
  }

  /**
   * Id of a language's code.
   * @param language an ISO code ("en") or an mBART code ("en_XX")
   * @throws {LingolensError} `unknown-language`
   */
  languageId(language: string): number {
    return this.#languageIds.get(resolveLanguage(language, this.languages).code)!;
  }

  /** `[language] tokens </s>`, the target that the captioner learns. */
  encode(text: string, language: string, { maxLength = Infinity }: EncodeOptions = {}): number[] {
    const languageId = this.languageId(language);
    return [languageId, ...this.encodeText(text).slice(0, Math.max(0, maxLength - 2)), this.eosId];
  }

  /** The ids of the text alone. Special tokens written in it ("</s>", "de_DE") are taken as such. */
  encodeText(text: string): number[] {
    return this.#tokenizer.encode(text);
  }

  /**
   * The text of ids. Of the first ids of a sequence it gives the first part of its text, so that streaming can
   * decode what there is so far.
   * @throws {LingolensError} `checkpoint-mismatch` for an id beyond the vocabulary.
   */
  decode(ids: readonly number[], { skipSpecialTokens = true }: DecodeOptions = {}): string {
    const foreign = ids.find((id) => this.definition.pieces[id] === undefined);
    if (foreign !== undefined) {
      throw new LingolensError(
        "checkpoint-mismatch",
        `Token ${foreign} is beyond the tokenizer's vocabulary of ${this.vocabularySize}. ` +
          "Use the tokenizer that belongs to the model.",
      );
    }
    return this.#tokenizer.decode(ids, skipSpecialTokens);
  }

  /** The piece of each id, such as "▁dog". */
  tokens(ids: readonly number[]): string[] {
    return ids.map((id) => this.definition.pieces[id] ?? "");
  }
}
