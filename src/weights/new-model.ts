/** Models to start training from: of a CLIP and an mBART that were trained apart, or of the original's size at random. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { LingolensError } from "../errors.js";
import { readPreprocessorConfig } from "../image/preprocessor-config.js";
import { type CaptionerConfig, parseConfig } from "../model/config.js";
import { initialPieces } from "../model/initialize.js";
import { originalConfig } from "../model/original.js";
import { loadTokenizerFolder } from "../text/tokenizer-folder.js";
import { type CheckpointFiles, findCheckpoint } from "./checkpoint.js";
import { clipVisionParameter, mbartParameter } from "./checkpoint-names.js";
import { parameterTensors } from "./checkpoint-parameters.js";
import { readJsonObject } from "./json-file.js";
import { type RawJson, TOKENIZER_FILES, writeModelFolder } from "./model-folder.js";
import { checkParameters, parameterShapes } from "./parameter-shapes.js";
import {
  float32Sources,
  madeParameter,
  type ParameterSource,
  type WritingOptions,
} from "./parameter-source.js";
import { elementCount } from "./stored-tensor.js";

export interface NewModelOptions extends WritingOptions {
  /** A new or empty folder. */
  readonly out: string;
  /** Equal seeds draw equal values. */
  readonly seed: number;
  /** A folder with a tokenizer. Default: none for a model of the original's size, else the text model's, if it has one. */
  readonly tokenizer?: string | undefined;
}

export interface NewModel {
  readonly config: CaptionerConfig;
  /** Numbers that the model learns. */
  readonly parameters: number;
  /** Names of the tokenizer's files; none where no folder had one. */
  readonly tokenizerFiles: readonly string[];
}

/**
 * A captioner of CLIP's vision model and mBART's decoder, embedding and bias, with a projection between them that has
 * yet to learn. The decoder's cross-attention is mBART's, which has seen texts only.
 *
 * @param vision A folder with a CLIPModel or CLIPVisionModel of Hugging Face's, in any format that is read.
 * @param text A folder with an MBartForConditionalGeneration.
 * @throws {LingolensError} `file-not-found`, `unsupported-format`, `config-invalid`, `checkpoint-damaged`,
 * `checkpoint-mismatch`, `tokenizer-damaged`, `already-exists`, `cancelled`
 */
export async function joinModels({
  vision,
  text,
  tokenizer = text,
  ...options
}: NewModelOptions & { readonly vision: string; readonly text: string }): Promise<NewModel> {
  const [visionFiles, textFiles] = [await findCheckpoint(vision), await findCheckpoint(text)];
  const config = parseConfig(
    {
      model_type: "vision-encoder-decoder",
      encoder: await configJson(vision),
      decoder: await configJson(text),
    },
    { fileName: `config.json of ${vision} (encoder) and ${text} (decoder)`, weightsFormat: textFiles.format },
  );
  const shapes = parameterShapes(config);
  const made = madeParameters(config, shapes, options.seed);
  const parameters = new Map([
    ...[...made].filter(([name]) => partOf(name) === "projection"),
    ...(await takePart("vision", vision, visionFiles, clipVisionParameter, shapes)),
    ...(await takePart("text", text, textFiles, mbartParameter, shapes)),
  ]);
  const preprocessorConfig = await readJsonObject(join(vision, "preprocessor_config.json"), "config-invalid");
  return write(config, parameters, await tokenizerIn(tokenizer), preprocessorConfig, options);
}

/**
 * A captioner of the original's size with values at random; with a tokenizer, of that one's vocabulary.
 * @throws {LingolensError} `file-not-found`, `tokenizer-damaged`, `already-exists`, `cancelled`
 */
export async function randomOriginal({ tokenizer, ...options }: NewModelOptions): Promise<NewModel> {
  const files = tokenizer === undefined ? new Map<string, Buffer>() : await tokenizerIn(tokenizer);
  const config = { ...originalConfig };
  if (tokenizer !== undefined) {
    const { vocabularySize } = await loadTokenizerFolder(tokenizer);
    config.decoder = { ...config.decoder, vocabularySize };
  }
  const shapes = parameterShapes(config);
  return write(config, madeParameters(config, shapes, options.seed), files, undefined, options);
}

type Part = "vision" | "projection" | "text";

function partOf(parameter: string): Part {
  if (parameter.startsWith("model.encoder.")) return "vision";
  return parameter.startsWith("model.visual_projection.") ? "projection" : "text";
}

/** A folder's parameters, which are those of one part of the captioner, all of them. */
async function takePart(
  part: Part,
  folder: string,
  { open }: CheckpointFiles,
  parameterOf: (tensorName: string) => string | undefined,
  allShapes: ReadonlyMap<string, readonly number[]>,
): Promise<Map<string, ParameterSource>> {
  const shapes = new Map([...allShapes].filter(([name]) => partOf(name) === part));
  const { tensors } = await open();
  const found = new Map<string, ParameterSource>(await parameterTensors(folder, tensors, parameterOf));
  const bias = shapes.get(BIAS);
  // An mBART without it is one with zeros.
  if (bias && !found.has(BIAS))
    found.set(
      BIAS,
      madeParameter(bias, () => [new Float32Array(elementCount(bias))]),
    );
  checkParameters(new Map([...found].map(([name, { shape }]) => [name, shape])), shapes, folder);
  return found;
}

const BIAS = "final_logits_bias";

async function configJson(folder: string): Promise<RawJson> {
  const json = await readJsonObject(join(folder, "config.json"), "config-invalid");
  if (json) return json;
  throw new LingolensError("file-not-found", `${folder}: expected a config.json in the model's folder.`);
}

function madeParameters(
  config: CaptionerConfig,
  shapes: ReadonlyMap<string, readonly number[]>,
  seed: number,
): Map<string, ParameterSource> {
  return new Map(
    [...initialPieces(config, shapes, seed)].map(([name, pieces]) => [
      name,
      madeParameter(shapes.get(name)!, pieces),
    ]),
  );
}

async function tokenizerIn(folder: string): Promise<Map<string, Buffer>> {
  const there = new Set(await readdir(folder));
  const names = TOKENIZER_FILES.filter((name) => there.has(name));
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)),
  );
}

async function write(
  config: CaptionerConfig,
  parameters: ReadonlyMap<string, ParameterSource>,
  tokenizerFiles: ReadonlyMap<string, Buffer>,
  preprocessor: RawJson | undefined,
  { out, ...options }: NewModelOptions,
): Promise<NewModel> {
  const { imageSize } = config.vision;
  const preprocessorConfig = preprocessor ?? {
    image_processor_type: "CLIPImageProcessor",
    size: imageSize,
    crop_size: imageSize,
  };
  readPreprocessorConfig(preprocessorConfig, imageSize); // Whether it fits the vision model.
  await writeModelFolder(out, {
    config,
    parameters: float32Sources(parameters, options),
    tokenizerFiles,
    preprocessorConfig,
    generationConfig: {},
  });
  const sizes = [...parameters.values()].map(({ shape }) => elementCount(shape));
  return {
    config,
    parameters: sizes.reduce((a, b) => a + b, 0),
    tokenizerFiles: [...tokenizerFiles.keys()],
  };
}
