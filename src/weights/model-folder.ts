/** A model as a folder: config, weights, tokenizer and the settings of picture and search, as Hugging Face lays it out. */
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LingolensError } from "../errors.js";
import { type CaptionerConfig, parseConfig, writeConfig } from "../model/config.js";
import { writeFolderAtomically } from "./atomic-file.js";
import { type CheckpointFiles, findCheckpoint, SINGLE_FILE } from "./checkpoint.js";
import { captionerParameter, isVisionEncoderDecoder } from "./checkpoint-names.js";
import { parameterTensors } from "./checkpoint-parameters.js";
import { type ConversionOptions, convertedWeights } from "./converted-weights.js";
import { float32ToBfloat16, float32ToFloat16 } from "./half.js";
import { type Int8Weight, separateInt8 } from "./int8-weights.js";
import { readJsonObject } from "./json-file.js";
import { checkParameters, parameterShapes } from "./parameter-shapes.js";
import { madeParameter, type ParameterSource } from "./parameter-source.js";
import {
  type SafetensorsSource,
  type TensorLocation,
  tensorLocation,
  toFloat32,
  writeSafetensors,
} from "./safetensors.js";
import { isFileName } from "./shards.js";
import { elementCount, locatedTensor, readStoredTensor } from "./stored-tensor.js";

/** A JSON file's content as it stands. */
export type RawJson = Readonly<Record<string, unknown>>;

/** One parameter of a checkpoint, not yet in memory. */
export interface Weight {
  readonly shape: readonly number[];
  /** Where its float32 values lie, ready to be mapped; absent for a parameter that `read` has to convert or make. */
  readonly location?: TensorLocation;
  /** Where its parts lie, for a weight that is kept in int8. */
  readonly int8?: Int8Weight["locations"];
  /**
   * Its values in fresh memory, row-major.
   * @throws {LingolensError} `checkpoint-damaged`, `file-not-found`, `out-of-memory`
   */
  read(): Promise<Float32Array>;
}

export interface ModelFolder {
  readonly path: string;
  readonly config: CaptionerConfig;
  /** generation_config.json. */
  readonly generationConfig?: RawJson;
  /** preprocessor_config.json. */
  readonly preprocessorConfig?: RawJson;
  /** Paths of the tokenizer's files that are there, by their names. */
  readonly tokenizerFiles: ReadonlyMap<string, string>;
  /** Every parameter of `parameterShapes(config)`, by its name. */
  readonly weights: ReadonlyMap<string, Weight>;
}

export const TOKENIZER_FILES = [
  "sentencepiece.bpe.model",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
];

/** Weights that have to be converted are kept in memory up to this many bytes, where they are safetensors already. */
const CONVERT_IN_MEMORY = 1 << 26;

/**
 * Opens a folder with weights of the original's names or of a Hugging Face `VisionEncoderDecoderModel`, as safetensors,
 * Flax msgpack or PyTorch's pickles. Headers and sizes are checked; values are read when asked for, except those of tied
 * copies, which are compared. Weights that cannot be used as they lie are converted, once, into the user's cache.
 *
 * @throws {LingolensError} `file-not-found`, `unsupported-format`, `config-invalid`, `checkpoint-damaged`,
 * `checkpoint-mismatch`; where weights are converted, `cache-unwritable` and `cancelled`
 */
export async function openModelFolder(path: string, options: ConversionOptions = {}): Promise<ModelFolder> {
  const files = await listFolder(path);
  const json = await readJsonObject(join(path, "config.json"), "config-invalid");
  if (!json)
    throw new LingolensError("file-not-found", `${path}: expected a config.json in the model's folder.`);
  const generationConfig = await readJsonObject(join(path, "generation_config.json"), "config-invalid");
  const preprocessorConfig = await readJsonObject(join(path, "preprocessor_config.json"), "config-invalid");
  const checkpoint = await findCheckpoint(path);
  const config = parseConfig(json, {
    fileName: join(path, "config.json"),
    weightsFormat: checkpoint.format,
    ...(generationConfig && { generationConfig }),
  });
  return {
    path,
    config,
    ...(generationConfig && { generationConfig }),
    ...(preprocessorConfig && { preprocessorConfig }),
    tokenizerFiles: new Map(
      TOKENIZER_FILES.filter((name) => files.includes(name)).map((name) => [name, join(path, name)]),
    ),
    weights: await findWeights(path, checkpoint, layoutOf(config), options),
  };
}

export async function listFolder(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (cause) {
    throw new LingolensError(
      "file-not-found",
      `${path}: expected a model's folder. ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}

/** How checkpoints of a kind of model hold its parameters. */
export interface CheckpointLayout {
  /** The parameter that a tensor holds; see checkpoint-names.ts. */
  readonly parameterOf: (tensorName: string) => string | undefined;
  /** What checkpoints with these tensors leave out because it changes nothing, or can be computed. */
  readonly implied: (tensorNames: Iterable<string>) => readonly [string, ParameterSource][];
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

function layoutOf(config: CaptionerConfig): CheckpointLayout {
  return {
    parameterOf: captionerParameter,
    implied: (tensorNames) => impliedParameters(tensorNames, config),
    shapes: parameterShapes(config),
  };
}

/**
 * Every parameter of a layout's shapes, by its name.
 * @throws {LingolensError} as `openModelFolder`
 */
export async function findWeights(
  path: string,
  { format, open }: CheckpointFiles,
  { parameterOf, implied, shapes: expected }: CheckpointLayout,
  options: ConversionOptions,
): Promise<Map<string, Weight>> {
  const { tensors, files } = await open();
  const { int8, others } = separateInt8(path, tensors);
  const parameters: Map<string, ParameterSource> = await parameterTensors(path, others, parameterOf);
  for (const [name, made] of implied(tensors.keys())) {
    if (!parameters.has(name)) parameters.set(name, made);
  }
  const shapes = new Map([...parameters, ...int8].map(([name, { shape }]) => [name, shape]));
  checkParameters(shapes, expected, path);

  const rounded = [...int8].map(([name, { shape, locations, read }]): [string, Weight] => {
    return [name, { shape, int8: locations, read }];
  });
  const weights = new Map([...parameters].map(([name, parameter]) => [name, weightOf(parameter)]));
  const inMemory = [...weights.values()].filter(({ location }) => !location);
  const bytes = inMemory.reduce((sum, { shape }) => sum + elementCount(shape), 0) * FLOAT32_BYTES;
  if (format === "safetensors" && bytes <= CONVERT_IN_MEMORY) return new Map([...weights, ...rounded]);
  const converted = await convertedWeights(path, files, parameters, options);
  const located = [...converted.header.tensors].map(([name, { dtype, shape }]): [string, Weight] => {
    return [name, weightOf(locatedTensor(dtype, shape, tensorLocation(converted, name)))];
  });
  return new Map([...located, ...rounded]);
}

function weightOf(parameter: ParameterSource): Weight {
  const { dtype, shape, location } = parameter;
  const read = async () => toFloat32(await readStoredTensor(parameter));
  // What is mapped must be aligned; the format does not ask for it.
  if (dtype !== "F32" || !location || location.offset % FLOAT32_BYTES !== 0) return { shape, read };
  return { shape, location, read };
}

const FLOAT32_BYTES = Float32Array.BYTES_PER_ELEMENT;

/** What checkpoints leave out because it changes nothing. */
function impliedParameters(
  tensorNames: Iterable<string>,
  config: CaptionerConfig,
): [string, ParameterSource][] {
  const { hiddenSize, vocabularySize } = config.decoder;
  const zeros = (...shape: number[]) => madeParameter(shape, () => [new Float32Array(elementCount(shape))]);
  const bias = zeros(1, vocabularySize);
  // Hugging Face has no projection between an encoder and a decoder of the same width.
  if (hiddenSize !== config.vision.hiddenSize || !isVisionEncoderDecoder(tensorNames)) {
    return [["final_logits_bias", bias]];
  }
  return [
    ["final_logits_bias", bias],
    ["model.visual_projection.weight", madeParameter([hiddenSize, hiddenSize], () => [identity(hiddenSize)])],
    ["model.visual_projection.bias", zeros(hiddenSize)],
  ];
}

function identity(size: number): Float32Array {
  const matrix = new Float32Array(size * size);
  for (let i = 0; i < size; i++) matrix[i * size + i] = 1;
  return matrix;
}

/** A parameter's values, in memory or made in pieces when they are to be written. */
export interface ParameterValues {
  readonly shape: readonly number[];
  readonly data: Float32Array | (() => Iterable<Float32Array> | AsyncIterable<Float32Array>);
}

export interface ModelFolderContents {
  readonly config: CaptionerConfig;
  /** Every parameter of `parameterShapes(config)`. */
  readonly parameters: ReadonlyMap<string, ParameterValues>;
  /** The tokenizer's files by their names. */
  readonly tokenizerFiles: ReadonlyMap<string, Uint8Array>;
  /** For preprocessor_config.json. */
  readonly preprocessorConfig: RawJson;
  /** For generation_config.json; `decoder_start_token_id` is set to the config's, since readers prefer it there. */
  readonly generationConfig: RawJson;
  /** What the parameters are stored as. Default "fp32". */
  readonly dtype?: "fp32" | "fp16" | "bf16";
}

/**
 * Writes a folder that `openModelFolder` reads, whole or not at all.
 * @throws {LingolensError} `checkpoint-mismatch` for parameters that do not fit the config; `already-exists`
 */
export async function writeModelFolder(path: string, contents: ModelFolderContents): Promise<void> {
  await writeFolderAtomically(path, (folder) => writeModelFiles(folder, contents));
}

/** Writes a model folder's files into a folder that is there, such as one still aside; errors as `writeModelFolder`. */
export async function writeModelFiles(folder: string, contents: ModelFolderContents): Promise<void> {
  const { config, parameters, dtype = "fp32" } = contents;
  const shapes = new Map([...parameters].map(([name, { shape }]) => [name, shape]));
  checkParameters(shapes, parameterShapes(config), folder);
  await writeSettings(folder, contents);
  const tensors = [...parameters].map(([name, values]) => [name, stored(values, dtype)] as const);
  await writeSafetensors(join(folder, SINGLE_FILE), new Map(tensors));
}

/** Writes all of a model folder but the weights. */
export async function writeSettings(
  folder: string,
  contents: Omit<ModelFolderContents, "parameters" | "dtype">,
): Promise<void> {
  const { config, tokenizerFiles } = contents;
  const generationConfig = {
    ...contents.generationConfig,
    decoder_start_token_id: config.ids.decoderStart,
  };
  const writeJson = (name: string, json: unknown) =>
    writeFile(join(folder, name), `${JSON.stringify(json, null, 2)}\n`);
  await writeJson("config.json", writeConfig(config));
  await writeJson("generation_config.json", generationConfig);
  await writeJson("preprocessor_config.json", contents.preprocessorConfig);
  for (const [name, bytes] of tokenizerFiles) {
    if (!isFileName(name)) {
      throw new LingolensError(
        "option-unsupported",
        `Expected a file name for the tokenizer, got "${name}".`,
      );
    }
    await writeFile(join(folder, name), bytes);
  }
}

const STORED = {
  fp32: { dtype: "F32", narrow: (values: Float32Array) => values },
  fp16: { dtype: "F16", narrow: float32ToFloat16 },
  bf16: { dtype: "BF16", narrow: float32ToBfloat16 },
} as const;

/** Narrowed when its turn comes, so that only one parameter stands twice in memory. */
function stored({ shape, data }: ParameterValues, as: keyof typeof STORED): SafetensorsSource {
  const { dtype, narrow } = STORED[as];
  const pieces = async function* () {
    for await (const piece of ArrayBuffer.isView(data) ? [data] : data()) yield narrow(piece);
  };
  return { dtype, shape, data: pieces };
}
