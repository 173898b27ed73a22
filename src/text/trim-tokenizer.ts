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
  /** Texts that the trimmed tokenizer shall cut exactly as the full one does. They are gone through twice. */
  readonly texts: () => Iterable<string> | AsyncIterable<string>;
  /** Languages to keep, as ISO or mBART codes. */
  readonly languages: readonly string[];
  /**
   * Size of the vocabulary, special tokens included. Where the texts need more, their most frequent pieces are kept
   * and some texts are cut otherwise; where they need less, the most probable of all other pieces are added. Default:
   * what the texts need.
   */
  readonly vocabularySize?: number;
}

export interface TrimmedTokenizer {
  readonly tokenizer: Mbart50Tokenizer;
  /** Bytes of its `sentencepiece.bpe.model`. */
  readonly sentencePieceModel: Uint8Array;
  /** Text of its `tokenizer_config.json`, which says what languages there are. */
  readonly tokenizerConfig: string;
  /** Of each new id, the id in the full tokenizer: the rows of the embedding to keep, in their new order. */
  readonly fullIds: Int32Array;
  /** Number of texts. */
  readonly texts: number;
  /** Those of them that are cut as by the full tokenizer: all, unless they need more than `vocabularySize`. */
  readonly textsCutAlike: number;
}

/**
 * Keeps every piece that the texts use, with its score; the single characters that those are made of, printable
 * ASCII and "▁", so that other texts can be spelt; and the whole table of character rewritings.
 * @throws {LingolensError} `unknown-language`; `option-unsupported` where the full tokenizer prepares text in a
 * way that a SentencePiece model cannot express, or does not have, or fit into, so many pieces.
 */
export async function trimTokenizer(full: Mbart50Tokenizer, options: TrimOptions): Promise<TrimmedTokenizer> {
  const wanted = new Set(options.languages.map((text) => resolveLanguage(text, full.languages).code));
  const codes = full.languages.map(({ code }) => code).filter((code) => wanted.has(code));
  const others = specialTokensInFront.length + codes.length + 1;
  const room = options.vocabularySize === undefined ? undefined : options.vocabularySize - others;
  const kept = keptPieces(full, await countPieces(full, options), room);

  const model = modelOf(full, kept);
  const tokenizer = tokenizerOfModel(model, codes);
  const fullIds = Int32Array.from([
    ...specialTokensInFront.keys(),
    ...kept,
    ...codes.map((code) => full.languageId(code)),
    full.maskId,
  ]);
  return {
    tokenizer,
    sentencePieceModel: writeSentencePieceModel(model),
    tokenizerConfig: configOf(codes),
    fullIds,
    ...(await compareCuts(full, tokenizer, fullIds, options)),
  };
}

/** How often each id occurs in the texts. */
async function countPieces(full: Mbart50Tokenizer, { texts }: TrimOptions): Promise<Map<number, number>> {
  const counts = new Map<number, number>();
  for await (const text of texts())
    for (const id of full.encodeText(text)) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

/**
 * Ids, in ascending order.
 * @param room how many of them there shall be. Default: as many as are needed.
 */
function keptPieces(
  { definition }: Mbart50Tokenizer,
  counts: ReadonlyMap<number, number>,
  room?: number,
): number[] {
  const { pieces, scores, specialTokens } = definition;
  const special = new Set(specialTokens.map(({ id }) => id));
  const idOf = new Map([...scores.keys()].filter((id) => !special.has(id)).map((id) => [pieces[id]!, id]));
  const idsOf = (characters: Iterable<string>) => [...characters].flatMap((text) => idOf.get(text) ?? []);
  // What an unknown character costs hangs on the lowest score; with another one, texts could be cut differently.
  const lowest = scores.reduce((low, score) => Math.min(low, score), Infinity);
  const kept = new Set([...idsOf(["▁", ...printableAscii]), scores.indexOf(lowest)]);
  if (room !== undefined && (room < kept.size || room > idOf.size)) throw impossibleSize(room, kept, idOf);

  const byFrequency = [...counts].filter(([id]) => !special.has(id)).sort(([a, m], [b, n]) => n - m || a - b);
  for (const [id] of byFrequency) {
    const needed = [id, ...idsOf(pieces[id]!)].filter((id) => !kept.has(id));
    if (kept.size + new Set(needed).size <= (room ?? Infinity)) for (const id of needed) kept.add(id);
  }
  if (room !== undefined) {
    const byProbability = [...idOf.values()].sort((a, b) => scores[b]! - scores[a]! || a - b);
    for (const id of byProbability) if (kept.size < room) kept.add(id);
  }
  return [...kept].sort((a, b) => a - b);
}

function impossibleSize(
  room: number,
  least: ReadonlySet<number>,
  most: ReadonlyMap<string, number>,
): LingolensError {
  return new LingolensError(
    "option-unsupported",
    `The vocabulary's size leaves room for ${room} pieces beside the special tokens: expected from ${least.size}, ` +
      `which spell any text, to ${most.size}, which the full vocabulary has.`,
  );
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

/** Counts the texts that are cut alike: all but those that use a piece which found no room. */
async function compareCuts(
  full: Mbart50Tokenizer,
  trimmed: Mbart50Tokenizer,
  fullIds: Int32Array,
  options: TrimOptions,
): Promise<Pick<TrimmedTokenizer, "texts" | "textsCutAlike">> {
  const kept = new Set(fullIds);
  let texts = 0;
  let textsCutAlike = 0;
  for await (const text of options.texts()) {
    texts++;
    const ids = full.encodeText(text);
    if (options.vocabularySize !== undefined && !ids.every((id) => kept.has(id))) continue;
    textsCutAlike++;
    const expected = ids.join(" ");
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
  return { texts, textsCutAlike };
}
