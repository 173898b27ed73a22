/** A model whose vocabulary is cut down to a few languages: the embedding and the head shrink with it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LANGUAGES_FIELD, modelLanguages, resolveLanguages } from "../captioner/languages.js";
import { corpusTexts } from "../data/corpus.js";
import { LingolensError, throwIfCancelled } from "../errors.js";
import { type CaptionerConfig, writeConfig } from "../model/config.js";
import { loadTokenizerFolder } from "../text/tokenizer-folder.js";
import { type TrimmedTokenizer, trimTokenizer } from "../text/trim-tokenizer.js";
import type { ModelFolder, RawJson } from "../weights/model-folder.js";
import { type SafetensorsSource, writeSafetensors } from "../weights/safetensors.js";
import { writeGenerationConfig, writeJson, writePreprocessorConfig } from "./folder-files.js";
import { type ExportOptions, type Parameters, tracked } from "./parameters.js";

export interface TrimmedOptions extends ExportOptions {
  /** Languages to keep, as ISO or mBART codes; "all" stands for those that the model was trained for. */
  readonly languages: readonly string[];
  /** Text files and datasets whose texts the trimmed tokenizer shall cut as the full one does. */
  readonly corpus: readonly string[];
  /** Size of the vocabulary, special tokens included. Default: what the corpus needs. */
  readonly vocabularySize?: number;
}

/**
 * Writes a model folder into a folder that is there. A caption of kept tokens gets the same logits as before; its
 * probabilities are larger by what the tokens that are gone had of them.
 * @throws {LingolensError} `unknown-language`, `option-unsupported`, `file-not-found`, `dataset-invalid`
 */
export async function exportTrimmed(
  folder: ModelFolder,
  out: string,
  options: TrimmedOptions,
): Promise<void> {
  const full = await loadTokenizerFolder(folder.path);
  const codes = resolveLanguages(options.languages, modelLanguages(full, folder.generationConfig));
  const trimmed = await trimTokenizer(full, {
    texts: () => cancellable(corpusTexts(options.corpus, codes), options.signal),
    languages: codes,
    ...(options.vocabularySize !== undefined && { vocabularySize: options.vocabularySize }),
  });
  options.onNotice?.(summary(trimmed, folder.config.decoder.vocabularySize));

  const renumber = renumbering(trimmed, folder.config);
  const config = trimmedConfig(folder.config, trimmed, renumber);
  await writeJson(out, "config.json", writeConfig(config));
  const generationConfig = trimmedGenerationConfig(folder.generationConfig ?? {}, codes, renumber);
  await writeGenerationConfig({ config, generationConfig }, out);
  await writePreprocessorConfig(folder, out);
  await writeFile(join(out, "sentencepiece.bpe.model"), trimmed.sentencePieceModel);
  await writeFile(join(out, "tokenizer_config.json"), trimmed.tokenizerConfig);
  const tensors = trimmedTensors(folder.weights, folder.config, trimmed.fullIds);
  await writeSafetensors(join(out, "model.safetensors"), tracked(tensors, options));
}

async function* cancellable<T>(values: AsyncIterable<T>, signal?: AbortSignal): AsyncGenerator<T> {
  for await (const value of values) {
    throwIfCancelled(signal);
    yield value;
  }
}

function summary({ fullIds, texts, textsCutAlike }: TrimmedTokenizer, before: number): string {
  const alike = textsCutAlike === texts ? "all" : `${textsCutAlike}`;
  return `${fullIds.length} of ${before} tokens are kept; ${alike} of ${texts} texts are cut into tokens as before.`;
}

/** New ids of old ones. */
type Renumber = (id: number, what: string) => number;

function renumbering({ fullIds }: TrimmedTokenizer, { decoder }: CaptionerConfig): Renumber {
  const newIds = new Map([...fullIds].map((id, newId) => [id, newId]));
  const last = fullIds.reduce((most, id) => Math.max(most, id), 0);
  if (last >= decoder.vocabularySize)
    throw new LingolensError(
      "checkpoint-mismatch",
      `The tokenizer's token ${last} is beyond the model's vocabulary of ${decoder.vocabularySize}. ` +
        "Use the tokenizer that belongs to the model.",
    );
  return (id, what) => {
    const newId = newIds.get(id);
    if (newId !== undefined) return newId;
    throw new LingolensError(
      "option-unsupported",
      `${what} is token ${id}, which would be cut away. Where it is a language's code, add that to the languages.`,
    );
  };
}

function trimmedConfig(
  config: CaptionerConfig,
  { fullIds }: TrimmedTokenizer,
  renumber: Renumber,
): CaptionerConfig {
  const { bos, pad, eos, decoderStart } = config.ids;
  return {
    ...config,
    decoder: { ...config.decoder, vocabularySize: fullIds.length },
    ids: {
      bos: renumber(bos, "bos_token_id"),
      pad: renumber(pad, "pad_token_id"),
      eos: renumber(eos, "eos_token_id"),
      decoderStart: renumber(decoderStart, "decoder_start_token_id"),
    },
  };
}

/** Fields that hold ids, or lists of ids; of others nothing is known, and they stay. */
const ID_FIELD = /(_token_ids?|_words_ids|suppress_tokens)$/;

function trimmedGenerationConfig(json: RawJson, codes: readonly string[], renumber: Renumber): RawJson {
  const renumbered = (value: unknown, field: string): unknown => {
    if (Array.isArray(value)) return value.map((item) => renumbered(item, field));
    return typeof value === "number" ? renumber(value, `generation_config.json's ${field}`) : value;
  };
  return Object.fromEntries(
    Object.entries(json).map(([field, value]) => {
      if (field === LANGUAGES_FIELD) return [field, codes];
      return [field, ID_FIELD.test(field) ? renumbered(value, field) : value];
    }),
  );
}

function trimmedTensors(
  weights: Parameters,
  { decoder }: CaptionerConfig,
  fullIds: Int32Array,
): Map<string, SafetensorsSource> {
  const shapes = new Map([
    ["model.shared.weight", [fullIds.length, decoder.hiddenSize]],
    ["final_logits_bias", [1, fullIds.length]],
  ]);
  return new Map(
    [...weights].map(([name, { shape, read }]) => {
      const trimmed = shapes.get(name);
      const data = trimmed ? async () => rows(await read(), fullIds, decoder.vocabularySize) : read;
      return [name, { dtype: "F32", shape: trimmed ?? shape, data }];
    }),
  );
}

function rows(values: Float32Array, ids: Int32Array, before: number): Float32Array {
  const width = values.length / before;
  const kept = new Float32Array(ids.length * width);
  ids.forEach((id, row) => {
    kept.set(values.subarray(id * width, (id + 1) * width), row * width);
  });
  return kept;
}
