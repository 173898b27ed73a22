/** Makes an mBART-50 tokenizer of the files that a model folder holds. Runs in browsers too: it takes contents. */
import { z } from "zod";
import { LingolensError } from "../errors.js";
import { CharsMap } from "./chars-map.js";
import { collapseSpaces, metaspace, precompiled } from "./fast-normalizer.js";
import type { FastTokenizerDefinition } from "./fast-tokenizer.js";
import { languages } from "./languages.js";
import { Mbart50Tokenizer, maskToken, specialTokensInFront } from "./mbart50-tokenizer.js";
import { readSentencePieceModel, type SentencePieceModel } from "./sentencepiece-model.js";
import { readTokenizerJson } from "./tokenizer-json.js";

export interface TokenizerFiles {
  /** Bytes of `sentencepiece.bpe.model`. */
  readonly sentencePieceModel?: Uint8Array;
  /** Text of `tokenizer.json`. Where both are given, this one counts, as for Hugging Face. */
  readonly tokenizerJson?: string;
  /**
   * Text of `tokenizer_config.json`. With a SentencePiece model, its `additional_special_tokens` say which
   * languages the vocabulary has; without it, or where it names none, the vocabulary has all 52. (Hugging Face
   * always assumes 52 there, so that it reads a tokenizer with fewer from `tokenizer.json` only.)
   */
  readonly tokenizerConfig?: string;
}

/**
 * @throws {LingolensError} `tokenizer-damaged` for a file that cannot be read, or if there is none;
 * `option-unsupported` for a tokenizer of another kind.
 */
export function loadTokenizer(files: TokenizerFiles): Mbart50Tokenizer {
  if (files.tokenizerJson !== undefined) return new Mbart50Tokenizer(readTokenizerJson(files.tokenizerJson));
  if (files.sentencePieceModel !== undefined) {
    const codes = files.tokenizerConfig === undefined ? allCodes : languageCodesOf(files.tokenizerConfig);
    return tokenizerOfModel(readSentencePieceModel(files.sentencePieceModel), codes);
  }
  throw new LingolensError(
    "tokenizer-damaged",
    "The model has no tokenizer: expected sentencepiece.bpe.model or tokenizer.json beside its weights.",
  );
}

/** The tokenizer of a SentencePiece model, by the conversion of Hugging Face's `MBart50TokenizerFast`. */
export function tokenizerOfModel(
  model: SentencePieceModel,
  languageCodes: readonly string[],
): Mbart50Tokenizer {
  checkModel(model);
  const { precompiledCharsMap } = model.normalizer;
  const own = model.pieces.slice(piecesInFront.length);
  const pieces = [...specialTokensInFront, ...own.map(({ text }) => text), ...languageCodes, maskToken];
  const scores = new Float64Array(pieces.length);
  own.forEach(({ score }, index) => {
    scores[specialTokensInFront.length + index] = score;
  });
  const firstLanguageId = specialTokensInFront.length + own.length;
  const specialTokens = pieces.flatMap((content, id) => {
    const isSpecial = id < specialTokensInFront.length || id >= firstLanguageId;
    return isSpecial ? [{ id, content, stripsLeft: content === maskToken, stripsRight: false }] : [];
  });
  const charsMapSteps =
    precompiledCharsMap.length > 0 ? [precompiled(new CharsMap(precompiledCharsMap))] : [];
  return new Mbart50Tokenizer({
    pieces,
    scores,
    unknownId: specialTokensInFront.indexOf("<unk>"),
    normalizers: [...charsMapSteps, collapseSpaces(" ")],
    preTokenizers: [metaspace({ prepend: true, split: true })],
    specialTokens,
    ...(precompiledCharsMap.length > 0 && { precompiledCharsMap }),
  } satisfies FastTokenizerDefinition);
}

/** What an mBART model has instead of `specialTokensInFront`. */
export const piecesInFront = ["<unk>", "<s>", "</s>"] as const;

function checkModel({ trainer, pieces }: SentencePieceModel): void {
  if (trainer.modelType !== "unigram" || trainer.byteFallback) {
    const kind = trainer.byteFallback
      ? "a model with byte fallback"
      : `a model of type "${trainer.modelType}"`;
    throw new LingolensError(
      "option-unsupported",
      `sentencepiece.bpe.model holds ${kind}; mBART's is a unigram model without byte fallback.`,
    );
  }
  const found = pieces.slice(0, piecesInFront.length).map(({ text }) => text);
  if (found.join() !== piecesInFront.join()) {
    throw new LingolensError(
      "tokenizer-damaged",
      `sentencepiece.bpe.model is not mBART's: expected its first pieces to be ${piecesInFront.join(" ")}, ` +
        `got ${found.join(" ")}.`,
    );
  }
}

const allCodes = languages.map(({ code }) => code);

const tokenList = z.array(z.union([z.string(), z.object({ content: z.string() })])).nullish();
// The first name is that of Hugging Face's versions up to 4, the second that of version 5.
const configSchema = z.object({ additional_special_tokens: tokenList, extra_special_tokens: tokenList });

/** Language codes in the order of their ids, which is always that of mBART-50. */
function languageCodesOf(tokenizerConfig: string): readonly string[] {
  let config: z.infer<typeof configSchema>;
  try {
    config = configSchema.parse(JSON.parse(tokenizerConfig));
  } catch (error) {
    throw new LingolensError(
      "tokenizer-damaged",
      `tokenizer_config.json cannot be read: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
  const listed = [...(config.additional_special_tokens ?? []), ...(config.extra_special_tokens ?? [])];
  const tokens = new Set(listed.map((token) => (typeof token === "string" ? token : token.content)));
  for (const token of [...specialTokensInFront, maskToken]) tokens.delete(token);
  const codes = allCodes.filter((code) => tokens.delete(code));
  if (tokens.size > 0) {
    throw new LingolensError(
      "option-unsupported",
      `tokenizer_config.json adds the special tokens ${[...tokens].join(", ")}; with a sentencepiece.bpe.model ` +
        "only language codes of mBART-50 are supported. Save the tokenizer as tokenizer.json.",
    );
  }
  return codes.length > 0 ? codes : allCodes;
}
