/** Reads `tokenizer.json`, the file of Hugging Face's fast tokenizers, where it holds a unigram model. */
import { base64Decode } from "@bufbuild/protobuf/wire";
import { z } from "zod";
import { LingolensError } from "../errors.js";
import { CharsMap } from "./chars-map.js";
import {
  collapseSpaces,
  metaspace,
  type NormalizerStep,
  type PreTokenizerStep,
  precompiled,
  replaceText,
  splitAtWhitespace,
  strip,
} from "./fast-normalizer.js";
import type { FastTokenizerDefinition } from "./fast-tokenizer.js";
import { spaceSymbol } from "./normalizer.js";
import type { SpecialToken } from "./special-tokens.js";

const step = z.looseObject({ type: z.string() });
type Step = z.infer<typeof step>;

const fileSchema = z.object({
  added_tokens: z.array(
    z.object({
      id: z.number().int().nonnegative(),
      content: z.string(),
      single_word: z.boolean(),
      lstrip: z.boolean(),
      rstrip: z.boolean(),
      normalized: z.boolean(),
    }),
  ),
  normalizer: step.nullable(),
  pre_tokenizer: step.nullable(),
  decoder: step.nullable(),
  model: z.object({
    // Files of the library's first years leave the type out.
    type: z.string().default("Unigram"),
    unk_id: z.number().int().nonnegative(),
    byte_fallback: z.boolean().default(false),
    // 250,000 pairs: checked in a plain loop, which is ten times as fast as a schema.
    vocab: z.unknown(),
  }),
});

const normalizerSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("Precompiled"), precompiled_charsmap: z.string().nullable() }),
  z.object({ type: z.literal("Strip"), strip_left: z.boolean(), strip_right: z.boolean() }),
  z.object({
    type: z.literal("Replace"),
    pattern: z.union([z.object({ String: z.string().min(1) }), z.object({ Regex: z.literal(" {2,}") })]),
    content: z.string(),
  }),
]);

const preTokenizerSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("WhitespaceSplit") }),
  z.object({
    type: z.literal("Metaspace"),
    replacement: z.literal(spaceSymbol),
    prepend_scheme: z.enum(["always", "never"]).optional(),
    // What files of older versions have instead of the scheme.
    add_prefix_space: z.boolean().default(true),
    split: z.boolean().default(true),
  }),
]);

/**
 * @throws {LingolensError} `tokenizer-damaged` where the text is not such a file; `option-unsupported` where it
 * asks for a model or a step that mBART's and its relatives' tokenizers do not have.
 */
export function readTokenizerJson(text: string): FastTokenizerDefinition {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw damaged(`it is not JSON (${(error as Error).message})`, error);
  }
  const type = z.object({ model: z.object({ type: z.string() }) }).safeParse(json).data?.model.type;
  if (type !== undefined && type !== "Unigram") throw unsupported(`a model of type ${type}`);
  const file = fileSchema.safeParse(json);
  if (!file.success) throw damaged(z.prettifyError(file.error), file.error);
  const { added_tokens, normalizer, pre_tokenizer, decoder, model } = file.data;
  if (model.byte_fallback) throw unsupported("a model with byte fallback");
  if (decoder?.type !== "Metaspace") throw unsupported(`the decoder ${decoder?.type ?? "null"}`);

  const { pieces, scores } = readVocabulary(model.vocab);
  if (model.unk_id >= scores.length)
    throw damaged(`its unk_id ${model.unk_id} is not among ${scores.length} pieces`);
  const specialTokens = added_tokens.map(readSpecialToken);
  for (const { id, content } of [...specialTokens].sort((a, b) => a.id - b.id)) {
    // Tokens that were added later follow the model's own.
    if (id === pieces.length) pieces.push(content);
    if (pieces[id] !== content)
      throw damaged(`the added token ${content} has the id ${id} of ${pieces[id] ?? "none"}`);
  }
  return {
    pieces,
    scores,
    unknownId: model.unk_id,
    ...readNormalizers(stepsOf(normalizer, "normalizers")),
    preTokenizers: stepsOf(pre_tokenizer, "pretokenizers").map(readPreTokenizer),
    specialTokens,
  };
}

function readVocabulary(vocabulary: unknown): { pieces: string[]; scores: Float64Array } {
  if (!Array.isArray(vocabulary)) throw damaged("model.vocab is not a list");
  const pieces: string[] = [];
  const scores = new Float64Array(vocabulary.length);
  for (const [id, entry] of vocabulary.entries()) {
    const [piece, score] = Array.isArray(entry) ? entry : [];
    if (typeof piece !== "string" || !Number.isFinite(score)) {
      throw damaged(`model.vocab[${id}] is not a piece with its score`);
    }
    pieces.push(piece);
    scores[id] = score as number;
  }
  return { pieces, scores };
}

function readSpecialToken(token: z.infer<typeof fileSchema>["added_tokens"][number]): SpecialToken {
  if (token.normalized) throw unsupported(`the added token ${token.content}, looked for in normalised text`);
  if (token.single_word) throw unsupported(`the added token ${token.content}, looked for as a whole word`);
  return { id: token.id, content: token.content, stripsLeft: token.lstrip, stripsRight: token.rstrip };
}

/** One step, or the steps of a sequence. */
function stepsOf(found: Step | null, key: string): readonly Step[] {
  if (found === null) return [];
  return found.type === "Sequence"
    ? parseStep(z.object({ [key]: z.array(step) }), found, key)[key]!
    : [found];
}

function readNormalizers(
  steps: readonly Step[],
): Pick<FastTokenizerDefinition, "normalizers" | "precompiledCharsMap"> {
  let precompiledCharsMap: Uint8Array | undefined;
  const normalizers: NormalizerStep[] = [];
  for (const found of steps) {
    const normalizer = parseStep(normalizerSchema, found, "normalizer");
    if (normalizer.type === "Strip") {
      normalizers.push(strip({ left: normalizer.strip_left, right: normalizer.strip_right }));
    } else if (normalizer.type === "Replace") {
      const { pattern, content } = normalizer;
      normalizers.push("String" in pattern ? replaceText(pattern.String, content) : collapseSpaces(content));
    } else if (normalizer.precompiled_charsmap) {
      precompiledCharsMap = decodeBase64(normalizer.precompiled_charsmap);
      normalizers.push(precompiled(new CharsMap(precompiledCharsMap)));
    }
  }
  return { normalizers, ...(precompiledCharsMap && { precompiledCharsMap }) };
}

function readPreTokenizer(found: Step): PreTokenizerStep {
  const preTokenizer = parseStep(preTokenizerSchema, found, "pre_tokenizer");
  if (preTokenizer.type === "WhitespaceSplit") return splitAtWhitespace;
  const { prepend_scheme, add_prefix_space, split } = preTokenizer;
  return metaspace({ prepend: prepend_scheme ? prepend_scheme === "always" : add_prefix_space, split });
}

function parseStep<Schema extends z.ZodType>(schema: Schema, found: Step, what: string): z.infer<Schema> {
  const parsed = schema.safeParse(found);
  if (parsed.success) return parsed.data;
  throw unsupported(`the ${what} ${JSON.stringify(found).slice(0, 120)}`);
}

function decodeBase64(text: string): Uint8Array {
  try {
    return base64Decode(text);
  } catch (error) {
    throw damaged("precompiled_charsmap is not base64", error);
  }
}

function damaged(reason: string, cause?: unknown): LingolensError {
  return new LingolensError(
    "tokenizer-damaged",
    `tokenizer.json cannot be read: ${reason}. Fetch the file again from where the model was published.`,
    { cause },
  );
}

function unsupported(what: string): LingolensError {
  return new LingolensError(
    "option-unsupported",
    `tokenizer.json asks for ${what}, which is not supported. Where a sentencepiece.bpe.model of the same ` +
      "tokenizer exists, delete tokenizer.json to use that one.",
  );
}
