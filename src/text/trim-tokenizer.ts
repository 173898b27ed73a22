/**
 * Cuts a tokenizer down to what a collection of texts needs. Of mBART-50's 250,000 pieces, captions in a few
 * languages use some thousands; the embedding and the head shrink with them.
 */
import { LingolensError } from "../errors.js";
import { resolveLanguage } from "./languages.js";
import { piecesInFront, tokenizerOfModel } from "./load-tokenizer.js";
import { type Mbart50Tokenizer, maskToken, specialTokensInFront } from "./mbart50-tokenizer.js";
import {
  defaultNormalizer,
  defaultTrainer,
  type SentencePieceModel,
  writeSentencePieceModel,
} from "./sentencepiece-model.js";

export interface TrimOptions {
  /** Texts that the trimmed tokenizer shall cut exactly as the full one does. */
  readonly texts: readonly string[];
  /** Languages to keep, as ISO or mBART codes. */
  readonly languages: readonly string[];
}

export interface TrimmedTokenizer {
  readonly tokenizer: Mbart50Tokenizer;
  /** Bytes of its `sentencepiece.bpe.model`. */
  readonly sentencePieceModel: Uint8Array;
  /** Text of its `tokenizer_config.json`, which says what languages there are. */
  readonly tokenizerConfig: string;
  /** Of each new id, the id in the full tokenizer: the rows of the embedding to keep, in their new order. */
  readonly fullIds: Int32Array;
}

/**
 * Keeps every piece that the texts use, with its score; the single characters that those are made of, printable
 * ASCII and "▁", so that other texts can be spelt; and the whole table of character rewritings.
 * @throws {LingolensError} `unknown-language`; `option-unsupported` where the full tokenizer prepares text in a
 * way that a SentencePiece model cannot express.
 */
export function trimTokenizer(full: Mbart50Tokenizer, options: TrimOptions): TrimmedTokenizer {
  const kept = keptPieces(full, options.texts);
  const wanted = new Set(options.languages.map((text) => resolveLanguage(text, full.languages).code));
  const codes = full.languages.map(({ code }) => code).filter((code) => wanted.has(code));

  const model = modelOf(full, kept);
  const tokenizer = tokenizerOfModel(model, codes);
  const fullIds = Int32Array.from([
    ...specialTokensInFront.keys(),
    ...kept,
    ...codes.map((code) => full.languageId(code)),
    full.maskId,
  ]);
  checkEquality(full, tokenizer, fullIds, options.texts);
  return {
    tokenizer,
    sentencePieceModel: writeSentencePieceModel(model),
    tokenizerConfig: configOf(codes),
    fullIds,
  };
}

/** Ids, in ascending order. */
function keptPieces(full: Mbart50Tokenizer, texts: readonly string[]): number[] {
  const { pieces, scores, specialTokens } = full.definition;
  const kept = new Set<number>();
  for (const text of texts) for (const id of full.encodeText(text)) kept.add(id);

  const characters = new Set(["▁", ...printableAscii]);
  for (const id of kept) for (const character of pieces[id]!) characters.add(character);
  for (const [id, piece] of pieces.entries()) if (characters.has(piece)) kept.add(id);
  // What an unknown character costs hangs on the lowest score; with another one, texts could be cut differently.
  const lowest = scores.reduce((low, score) => Math.min(low, score), Infinity);
  kept.add(scores.indexOf(lowest));

  for (const { id } of specialTokens) kept.delete(id);
  return [...kept].sort((a, b) => a - b);
}

const printableAscii = Array.from({ length: 0x7f - 0x21 }, (_, index) => String.fromCharCode(0x21 + index));

function modelOf({ definition }: Mbart50Tokenizer, kept: readonly number[]): SentencePieceModel {
  const { pieces, scores, precompiledCharsMap } = definition;
  return {
    pieces: [
      ...piecesInFront.map(
        (text) => ({ text, score: 0, type: text === "<unk>" ? "unknown" : "control" }) as const,
      ),
      ...kept.map((id) => ({ text: pieces[id]!, score: scores[id]!, type: "normal" }) as const),
    ],
    trainer: defaultTrainer,
    normalizer: { ...defaultNormalizer, ...(precompiledCharsMap && { precompiledCharsMap }) },
  };
}

function configOf(codes: readonly string[]): string {
  const config = {
    tokenizer_class: "MBart50Tokenizer",
    bos_token: "<s>",
    eos_token: "</s>",
    cls_token: "<s>",
    sep_token: "</s>",
    pad_token: "<pad>",
    unk_token: "<unk>",
    mask_token: maskToken,
    additional_special_tokens: codes,
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

function checkEquality(
  full: Mbart50Tokenizer,
  trimmed: Mbart50Tokenizer,
  fullIds: Int32Array,
  texts: readonly string[],
): void {
  for (const text of texts) {
    const expected = full.encodeText(text).join(" ");
    const got = trimmed
      .encodeText(text)
      .map((id) => fullIds[id]!)
      .join(" ");
    if (expected === got) continue;
    throw new LingolensError(
      "option-unsupported",
      `The trimmed tokenizer would cut "${text.slice(0, 80)}" differently: expected ids ${expected}, got ${got}. ` +
        "Either the text names a language that is not kept, or tokenizer.json prepares text in a way of its own; " +
        "then load the tokenizer from its sentencepiece.bpe.model.",
    );
  }
}
