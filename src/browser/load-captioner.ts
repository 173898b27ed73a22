import { type Captioner, LoadedCaptioner } from "../captioner/captioner.js";
import { ModelPrograms } from "../captioner/model-programs.js";
import { createWebEngine, type WebEngineOptions } from "../engine/web.js";
import { LingolensError } from "../errors.js";
import { parseConfig } from "../model/config.js";
import { loadTokenizer } from "../text/load-tokenizer.js";
import type { RawJson } from "../weights/model-folder.js";
import { browserWeights, WEIGHTS_FILE } from "./browser-weights.js";
import { loadPicture } from "./load-picture.js";
import { type FileOptions, ModelFiles } from "./model-files.js";

export interface BrowserLoadOptions extends WebEngineOptions, FileOptions {
  /** URL of a model folder: `config.json`, `model.safetensors`, the tokenizer. Relative to the page. */
  readonly model: string;
  /** The token that captions start from. Default: the model's. */
  readonly decoderStart?: number;
}

/**
 * Loads a model in a browser. Its files are fetched once and kept in the browser's cache; without network they are taken
 * from there.
 * @throws {LingolensError} `file-not-found`, `fetch-failed`, `cancelled`, `config-invalid`, `checkpoint-damaged`,
 * `checkpoint-mismatch`, `tokenizer-damaged`, `option-unsupported`, `engine-unavailable`
 */
export async function loadCaptioner({
  model,
  decoderStart,
  ...options
}: BrowserLoadOptions): Promise<Captioner> {
  const base = new URL(model.endsWith("/") ? model : `${model}/`, globalThis.location.href).href;
  const files = new ModelFiles(base, options);
  const json = async (name: string): Promise<RawJson | undefined> => {
    const bytes = await files.read(name);
    return bytes && parseJson(bytes, name);
  };
  const [configJson, generationConfig, preprocessorConfig, tokenizer] = await Promise.all([
    files.require("config.json").then((bytes) => parseJson(bytes, "config.json")),
    json("generation_config.json"),
    json("preprocessor_config.json"),
    readTokenizer(files),
  ]);
  const config = parseConfig(configJson, {
    weightsFormat: "safetensors",
    ...(generationConfig && { generationConfig }),
  });
  const [engine, weights] = await Promise.all([
    createWebEngine(options),
    files.require(WEIGHTS_FILE, options.onProgress).then((bytes) => browserWeights(bytes, config)),
  ]);
  const programs = new ModelPrograms(engine, weights);
  return new LoadedCaptioner({
    engine,
    programs,
    tokenizer,
    generationConfig,
    preprocessorConfig,
    decoderStart,
    loadPicture,
  });
}

async function readTokenizer(files: ModelFiles) {
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  // The SentencePiece model is a third of the size, and where it is, tokenizer.json need not be fetched.
  const sentencePieceModel = await files.read("sentencepiece.bpe.model");
  const tokenizerConfig = await files.read("tokenizer_config.json");
  if (sentencePieceModel)
    return loadTokenizer({
      sentencePieceModel,
      ...(tokenizerConfig && { tokenizerConfig: text(tokenizerConfig) }),
    });
  return loadTokenizer({ tokenizerJson: text(await files.require("tokenizer.json")) });
}

function parseJson(bytes: Uint8Array, name: string): RawJson {
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as RawJson;
  } catch (cause) {
    throw new LingolensError("config-invalid", `${name} is no JSON: ${(cause as Error).message}`, { cause });
  }
  throw new LingolensError("config-invalid", `${name}: expected a JSON object.`);
}
