/** A MarianMT model as a folder, as Hugging Face lays it out: Helsinki-NLP's opus-mt models and their like. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LingolensError } from "../errors.js";
import { sinusoids } from "../model/marian.js";
import { type MarianConfig, parseMarianConfig, writeMarianConfig } from "../model/marian-config.js";
import { findCheckpoint } from "./checkpoint.js";
import { marianParameter } from "./checkpoint-names.js";
import type { ConversionOptions } from "./converted-weights.js";
import { readJsonObject } from "./json-file.js";
import { type CheckpointLayout, findWeights, listFolder, type Weight } from "./model-folder.js";
import { marianParameterShapes } from "./parameter-shapes.js";
import { madeParameter } from "./parameter-source.js";

export interface MarianFolder {
  readonly path: string;
  readonly config: MarianConfig;
  /** Paths of the tokenizer's files that are there, by their names. */
  readonly tokenizerFiles: ReadonlyMap<string, string>;
  /** Every parameter of `marianParameterShapes(config)`, by its name. */
  readonly weights: ReadonlyMap<string, Weight>;
}

export const MARIAN_TOKENIZER_FILES = ["source.spm", "target.spm", "vocab.json", "tokenizer_config.json"];

/**
 * Opens a folder with a Marian model, of whatever format `openModelFolder` reads weights in.
 * @throws {LingolensError} as `openModelFolder`
 */
export async function openMarianFolder(path: string, options: ConversionOptions = {}): Promise<MarianFolder> {
  const files = await listFolder(path);
  const json = await readJsonObject(join(path, "config.json"), "config-invalid");
  if (!json)
    throw new LingolensError("file-not-found", `${path}: expected a config.json in the model's folder.`);
  const generationConfig = await readJsonObject(join(path, "generation_config.json"), "config-invalid");
  const config = parseMarianConfig(json, {
    fileName: join(path, "config.json"),
    ...(generationConfig && { generationConfig }),
  });
  return {
    path,
    config,
    tokenizerFiles: new Map(
      MARIAN_TOKENIZER_FILES.filter((name) => files.includes(name)).map((name) => [name, join(path, name)]),
    ),
    weights: await findWeights(path, await findCheckpoint(path), layoutOf(config), options),
  };
}

function layoutOf(config: MarianConfig): CheckpointLayout {
  const { hiddenSize, maxPositions, vocabularySize } = config;
  return {
    parameterOf: marianParameter,
    implied: () => [
      ["final_logits_bias", madeParameter([1, vocabularySize], () => [new Float32Array(vocabularySize)])],
      [
        "model.embed_positions.weight",
        madeParameter([maxPositions, hiddenSize], () => [sinusoids(maxPositions, hiddenSize)]),
      ],
    ],
    shapes: marianParameterShapes(config),
  };
}

/** Writes all of a Marian model's folder but the weights. */
export async function writeMarianSettings(
  folder: string,
  config: MarianConfig,
  tokenizerFiles: ReadonlyMap<string, Uint8Array>,
): Promise<void> {
  await writeFile(join(folder, "config.json"), `${JSON.stringify(writeMarianConfig(config), null, 2)}\n`);
  for (const [name, bytes] of tokenizerFiles) await writeFile(join(folder, name), bytes);
}
