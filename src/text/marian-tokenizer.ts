/**
 * The tokenizer of MarianMT models, equal to Hugging Face's `MarianTokenizer` without sacremoses: SentencePiece cuts
 * texts into pieces, a model of its own for source and target, and `vocab.json` gives the pieces of both their ids.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LingolensError } from "../errors.js";
import { spaceSymbol } from "./normalizer.js";
import { SentencePiece } from "./sentencepiece.js";
import { readSentencePieceModel } from "./sentencepiece-model.js";

export interface MarianTokenizerFiles {
  /** Bytes of `source.spm`. */
  readonly source: Uint8Array;
  /** Bytes of `target.spm`. */
  readonly target: Uint8Array;
  /** Text of `vocab.json`. */
  readonly vocabulary: string;
}

const SPECIAL = { eos: "</s>", unknown: "<unk>", pad: "<pad>" } as const;

/** Before the text, the language that a model with several shall translate into, such as `>>fra<<`. */
const LANGUAGE_TOKEN = /^>>.*?<</s;

export class MarianTokenizer {
  readonly eosId: number;
  readonly unknownId: number;
  readonly padId: number;
  readonly vocabularySize: number;
  /** The tokens of languages that the model translates into, such as `>>fra<<`; none where it has but one. */
  readonly languageTokens: readonly string[];
  readonly #ids: ReadonlyMap<string, number>;
  readonly #pieces: readonly (string | undefined)[];
  readonly #models: Readonly<Record<"source" | "target", SentencePiece>>;

  /** @throws {LingolensError} `tokenizer-damaged`; `option-unsupported` for a SentencePiece model that is no unigram model */
  constructor({ source, target, vocabulary }: MarianTokenizerFiles) {
    this.#ids = readVocabulary(vocabulary);
    const pieces: string[] = [];
    for (const [piece, id] of this.#ids) pieces[id] = piece;
    this.#pieces = pieces;
    this.vocabularySize = pieces.length;
    this.eosId = this.#special(SPECIAL.eos);
    this.unknownId = this.#special(SPECIAL.unknown);
    this.padId = this.#special(SPECIAL.pad);
    this.languageTokens = [...this.#ids.keys()].filter((piece) => /^>>.+<<$/.test(piece));
    this.#models = {
      source: new SentencePiece(readSentencePieceModel(source)),
      target: new SentencePiece(readSentencePieceModel(target)),
    };
  }

  /**
   * `[language token] pieces </s>`. Special tokens written in the text (`</s>`) are taken as such.
   * @param side whose pieces: those of texts to be translated, or of translations
   */
  encode(text: string, side: "source" | "target" = "source"): number[] {
    const tokens = text.split(SPECIAL_TOKENS).flatMap((part) => this.#tokenize(part, side));
    return [...tokens.map((token) => this.#ids.get(token) ?? this.unknownId), this.eosId];
  }

  #tokenize(text: string, side: "source" | "target"): string[] {
    if (text === "" || SPECIALS.has(text)) return text === "" ? [] : [text];
    const [language = ""] = LANGUAGE_TOKEN.exec(text) ?? [];
    const pieces = this.#models[side].encode(text.slice(language.length)).map((piece) => piece.text);
    return language === "" ? pieces : [language, ...pieces];
  }

  /**
   * The text of ids; special tokens are left out.
   * @throws {LingolensError} `checkpoint-mismatch` for an id beyond the vocabulary
   */
  decode(ids: readonly number[]): string {
    const pieces = ids.map((id) => {
      const piece = this.#pieces[id];
      if (piece !== undefined) return piece;
      throw new LingolensError(
        "checkpoint-mismatch",
        `Token ${id} is not in the tokenizer's vocabulary of ${this.vocabularySize}. Use the tokenizer that belongs to ` +
          "the model.",
      );
    });
    const text = pieces.filter((piece) => !SPECIALS.has(piece)).join("");
    return text.replaceAll(spaceSymbol, " ").trim();
  }

  /** The piece of each id, such as "▁dog". */
  tokens(ids: readonly number[]): string[] {
    return ids.map((id) => this.#pieces[id] ?? "");
  }

  #special(token: string): number {
    const id = this.#ids.get(token);
    if (id !== undefined) return id;
    throw damaged(`expected the token ${token} in vocab.json, found none`);
  }
}

const SPECIALS: ReadonlySet<string> = new Set(Object.values(SPECIAL));
/** Splits a text so that the special tokens in it stand alone. */
const SPECIAL_TOKENS = new RegExp(`(${Object.values(SPECIAL).join("|")})`);

function readVocabulary(text: string): Map<string, number> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw damaged(`vocab.json cannot be read as JSON: ${(error as Error).message}`, error);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw damaged("expected an object from pieces to ids in vocab.json");
  const ids = new Map<string, number>(Object.entries(json));
  const seen = new Set(ids.values());
  const fits = [...seen].every((id) => Number.isInteger(id) && id >= 0 && id < 1 << 24);
  if (!fits || seen.size !== ids.size)
    throw damaged("expected a whole number for every piece in vocab.json, each once");
  return ids;
}

function damaged(what: string, cause?: unknown): LingolensError {
  return new LingolensError(
    "tokenizer-damaged",
    `The Marian tokenizer cannot be used: ${what}. Take its files again from where the model came from.`,
    { cause },
  );
}

/**
 * The tokenizer in a model's folder: `source.spm`, `target.spm`, `vocab.json`.
 * @throws {LingolensError} `file-not-found`; else as the constructor
 */
export async function loadMarianTokenizer(folder: string): Promise<MarianTokenizer> {
  const read = async (name: string): Promise<Buffer> => {
    try {
      return await readFile(join(folder, name));
    } catch (cause) {
      throw new LingolensError(
        "file-not-found",
        `No Marian tokenizer in ${folder}: expected source.spm, target.spm and vocab.json there. ` +
          (cause as Error).message,
        { cause },
      );
    }
  };
  const [source, target, vocabulary] = await Promise.all(
    ["source.spm", "target.spm", "vocab.json"].map(read),
  );
  return new MarianTokenizer({
    source: source!,
    target: target!,
    vocabulary: vocabulary!.toString("utf8"),
  });
}
