import { folderWeights } from "../captioner/folder-weights.js";
import type { Engine } from "../engine/engine.js";
import { LingolensError } from "../errors.js";
import { isInt8 } from "../quantization/cached-int8.js";
import { loadMarianTokenizer, type MarianTokenizer } from "../text/marian-tokenizer.js";
import type { HubOptions } from "../weights/hub/snapshot.js";
import { findModel, type ModelIdentity } from "./find-model.js";
import { type BeamOptions, MarianTranslator } from "./marian-translator.js";
import { int8Marian } from "./quantize-marian.js";
import { SAMPLE_SENTENCES } from "./sample-sentences.js";

export interface LoadPairOptions {
  readonly from: string;
  readonly to: string;
  /** See `findModel`. */
  readonly models: string;
  readonly dtype: "fp32" | "int8";
  readonly threads?: number | undefined;
  readonly hub: HubOptions;
}

export interface TranslatedText {
  readonly text: string;
  /** Mean log-probability of a token. */
  readonly score: number;
  /** In tokens, the start token not counted. */
  readonly length: number;
}

/** A Marian model for one language into another: from texts to texts. */
export class LanguagePair implements ModelIdentity {
  private constructor(
    readonly to: string,
    readonly model: string,
    readonly revision: string,
    private readonly translator: MarianTranslator,
    private readonly tokenizer: MarianTokenizer,
    /** Before every text, for a model of several target languages; else empty. */
    private readonly prefix: string,
  ) {}

  /** @throws {LingolensError} as `findModel`; `unknown-language` where the model does not translate into `to` */
  static async load(
    engine: Engine,
    { from, to, models, dtype, threads, hub }: LoadPairOptions,
  ): Promise<LanguagePair> {
    const { folder: stored, model, revision } = await findModel(models, { from, to }, hub);
    const tokenizer = await loadMarianTokenizer(stored.path);
    const prefix = languagePrefix(tokenizer, to, model);
    const { vocabularySize } = stored.config;
    if (tokenizer.vocabularySize > vocabularySize)
      throw new LingolensError(
        "checkpoint-mismatch",
        `${stored.path}: the tokenizer has ${tokenizer.vocabularySize} tokens, the model ${vocabularySize}. Take both ` +
          "from the same model.",
      );
    if (dtype === "fp32" && isInt8(stored))
      throw new LingolensError(
        "option-unsupported",
        `${stored.path}: the weights are in int8, and are not computed with as fp32. Choose int8.`,
      );
    const { maxPositions } = stored.config;
    const sample = () =>
      SAMPLE_SENTENCES.map((text) => cut(tokenizer.encode(prefix + text), maxPositions, tokenizer.eosId));
    const folder =
      dtype === "int8" ? await int8Marian(engine, stored, sample(), { threads, ...hub }) : stored;
    const translator = new MarianTranslator(engine, await folderWeights(folder), threads);
    return new LanguagePair(to, model, revision, translator, tokenizer, prefix);
  }

  /** Tokens of the longest text that the model takes. */
  get longestSource(): number {
    return this.translator.config.maxPositions;
  }

  /** The tokens of a text as the model takes it, cut where it is longer than that. */
  encode(text: string): number[] {
    return cut(this.tokenizer.encode(this.prefix + text), this.longestSource, this.tokenizer.eosId);
  }

  /** The best translation of each text, all in one batch. */
  async translate(sources: readonly (readonly number[])[], options: BeamOptions): Promise<TranslatedText[]> {
    const results = await this.translator.translate(sources, options);
    return results.map(({ tokens, score }) => ({
      text: this.tokenizer.decode(tokens),
      score,
      length: tokens.length - 1,
    }));
  }

  close(): Promise<void> {
    return this.translator.close();
  }
}

function cut(ids: number[], longest: number, eosId: number): number[] {
  return ids.length <= longest ? ids : [...ids.slice(0, longest - 1), eosId];
}

/**
 * `>>xx<<` for a model that has such tokens, whichever code of the language they use: Intl knows `deu` as `de`.
 */
function languagePrefix({ languageTokens }: MarianTokenizer, to: string, model: string): string {
  if (languageTokens.length === 0) return "";
  const token = languageTokens.find((token) => isoCode(token.slice(2, -2)) === to);
  if (token !== undefined) return `${token} `;
  throw new LingolensError(
    "unknown-language",
    `${model} translates into ${languageTokens.join(" ")}; expected one for "${to}".`,
  );
}

function isoCode(code: string): string {
  try {
    return new Intl.Locale(code).language;
  } catch {
    // Such as "zho_Hans", whose script is written another way.
    return code;
  }
}
