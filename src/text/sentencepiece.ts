/**
 * SentencePiece's own encoder and decoder for unigram models, equal to the C++ library (`SentencePieceProcessor`)
 * of version 0.2.2. Versions up to 0.2.1 add up scores in another precision, so that some of the cuts which are
 * equally good ("...." as ". ..." or "... .") come out the other way round.
 *
 * The mBART-50 tokenizer does not run through it: it follows Hugging Face's, see `fast-tokenizer.ts`.
 */
import { LingolensError } from "../errors.js";
import { type Normalizer, sentencePieceNormalizer, spaceSymbol } from "./normalizer.js";
import { PieceTrie } from "./piece-trie.js";
import type { SentencePieceModel } from "./sentencepiece-model.js";
import { Unigram, unknownPenalty } from "./unigram.js";

export interface EncodedPiece {
  readonly id: number;
  /** As it stands in the vocabulary; of unknown characters, the normalised characters. */
  readonly text: string;
}

// What the library gives a user-defined piece for each byte but the first, so that it is always taken whole.
const userDefinedBonus = Math.fround(0.1);

export class SentencePiece {
  readonly #model: SentencePieceModel;
  readonly #normalize: Normalizer;
  readonly #denormalize: Normalizer | undefined;
  readonly #unigram: Unigram;
  readonly #unknownId: number;
  readonly #byteIds: readonly number[];

  /**
   * @throws {LingolensError} `option-unsupported` for a model of another type than unigram; `tokenizer-damaged`
   * for one whose parts do not fit together.
   */
  constructor(model: SentencePieceModel) {
    if (model.trainer.modelType !== "unigram") {
      throw new LingolensError(
        "option-unsupported",
        `The SentencePiece model is of type "${model.trainer.modelType}"; only "unigram" is supported.`,
      );
    }
    this.#model = model;
    this.#unknownId = model.pieces.findIndex(({ type }) => type === "unknown");
    this.#byteIds = model.trainer.byteFallback ? idsOfBytes(model) : [];
    this.#unigram = unigramOf(model, this.#unknownId);
    this.#normalize = sentencePieceNormalizer({
      spec: model.normalizer,
      whitespaceAsSuffix: model.trainer.treatWhitespaceAsSuffix,
      protectedTexts: model.pieces.filter(({ type }) => type === "user-defined").map(({ text }) => text),
    });
    const rewritesBack =
      model.denormalizer !== undefined && model.denormalizer.precompiledCharsMap.length > 0;
    this.#denormalize = rewritesBack ? sentencePieceNormalizer({ spec: model.denormalizer }) : undefined;
  }

  encode(text: string): EncodedPiece[] {
    const normalized = this.#normalize(text);
    return this.#unigram.segment(normalized).flatMap(({ id, start, end }) => {
      const piece = normalized.slice(start, end);
      return id === this.#unknownId && this.#byteIds.length > 0 ? this.#bytesOf(piece) : { id, text: piece };
    });
  }

  #bytesOf(text: string): EncodedPiece[] {
    return Array.from(new TextEncoder().encode(text), (byte) => {
      const id = this.#byteIds[byte]!;
      return { id, text: this.#model.pieces[id]!.text };
    });
  }

  /** @throws {RangeError} for an id that is not in the vocabulary. */
  decode(ids: readonly number[]): string {
    const { normalizer, trainer } = this.#model;
    let text = "";
    let bytes: number[] = [];
    const flushBytes = () => {
      // The C++ library replaces each stray byte, as the encoding standard does only for some: hence no TextDecoder.
      text += decodeBytes(bytes);
      bytes = [];
    };
    let expectsPrefix = normalizer.addDummyPrefix || normalizer.removeExtraWhitespaces;
    let prefixSeen = false;
    for (const id of ids) {
      const piece = this.#model.pieces[id];
      if (!piece) throw new RangeError(`Id ${id} is not among the ${this.#model.pieces.length} pieces.`);
      if (piece.type === "byte") {
        bytes.push(this.#byteIds.indexOf(id));
        continue;
      }
      flushBytes();
      if (prefixSeen || text !== "") expectsPrefix = false;
      prefixSeen = false;
      if (piece.type === "control") continue;
      if (piece.type === "unknown") {
        text += trainer.unknownSurface;
        continue;
      }
      const hasPrefix = expectsPrefix && piece.text.startsWith(spaceSymbol);
      // Where extra spaces are removed, every leading one goes; else only the one that encoding had put there.
      prefixSeen = hasPrefix && !normalizer.removeExtraWhitespaces;
      text += piece.text.slice(hasPrefix ? spaceSymbol.length : 0).replaceAll(spaceSymbol, " ");
    }
    flushBytes();
    return this.#denormalize ? this.#denormalize(text) : text;
  }
}

function unigramOf({ pieces }: SentencePieceModel, unknownId: number): Unigram {
  const trie = new PieceTrie();
  let lowest = Infinity;
  const scores = new Float64Array(pieces.length);
  for (const [id, { text, score, type }] of pieces.entries()) {
    if (type !== "normal" && type !== "user-defined") continue;
    trie.add(text, id);
    scores[id] = type === "normal" ? score : userDefinedScore(text);
    if (type === "normal") lowest = Math.min(lowest, score);
  }
  return new Unigram({
    trie,
    scores,
    unknownId,
    unknownScore: Math.fround(lowest - unknownPenalty),
    precision: "float32",
  });
}

function userDefinedScore(text: string): number {
  const bytes = new TextEncoder().encode(text).length;
  return Math.fround(Math.fround(bytes * userDefinedBonus) - userDefinedBonus);
}

function idsOfBytes({ pieces }: SentencePieceModel): number[] {
  const ids = new Map(pieces.map(({ text, type }, id) => [type === "byte" ? text : undefined, id] as const));
  return Array.from({ length: 256 }, (_, byte) => {
    const name = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    const id = ids.get(name);
    if (id === undefined) {
      throw new LingolensError(
        "tokenizer-damaged",
        `The SentencePiece model falls back to bytes, but its piece ${name} is missing.`,
      );
    }
    return id;
  });
}

const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 in which every byte that belongs to no character becomes one U+FFFD. */
function decodeBytes(bytes: readonly number[]): string {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const length = [1, 2, 3, 4].find((count) => isCharacter(bytes.slice(at, at + count), count));
    text += length ? strictDecoder.decode(Uint8Array.from(bytes.slice(at, at + length))) : "\ufffd";
    at += length ?? 1;
  }
  return text;
}

function isCharacter(bytes: readonly number[], count: number): boolean {
  if (bytes.length < count) return false;
  try {
    return Array.from(strictDecoder.decode(Uint8Array.from(bytes))).length === 1;
  } catch {
    return false;
  }
}
