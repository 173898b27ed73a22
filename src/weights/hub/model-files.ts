/** Which of a repository's files make a model. */
import { LingolensError } from "../../errors.js";
import { MARIAN_TOKENIZER_FILES } from "../marian-folder.js";
import { TOKENIZER_FILES } from "../model-folder.js";
import { isFileName } from "../shards.js";

/** What a caller needs of a model. */
export type ModelPart = "config" | "tokenizer" | "marian-tokenizer" | "weights";

const CONFIG_FILES = ["config.json", "generation_config.json", "preprocessor_config.json"];

/** In order of preference: as one file, or as shards with an index. */
const WEIGHTS_FILES = ["model.safetensors", "flax_model.msgpack", "pytorch_model.bin"];

export interface FileSource {
  /** For messages. */
  readonly name: string;
  readonly files: ReadonlySet<string>;
  read(file: string): Promise<string>;
}

/**
 * Names of the files that hold the parts, of which the weights in one format only. The weights are last, so that
 * everything is there once they are.
 * @throws {LingolensError} `file-not-found` for a part that is missing, `checkpoint-damaged` for an index that makes no
 * sense, and what `read` throws
 */
export async function modelFiles(source: FileSource, parts: readonly ModelPart[]): Promise<string[]> {
  const here = (names: readonly string[]): string[] => names.filter((name) => source.files.has(name));
  const names: string[] = [];
  if (parts.includes("config")) {
    if (!source.files.has("config.json")) throw missing(source, "config.json");
    names.push(...here(CONFIG_FILES));
  }
  if (parts.includes("tokenizer")) {
    if (here(["sentencepiece.bpe.model", "tokenizer.json"]).length === 0)
      throw missing(source, "a tokenizer (sentencepiece.bpe.model or tokenizer.json)");
    names.push(...here(TOKENIZER_FILES));
  }
  if (parts.includes("marian-tokenizer")) {
    for (const name of ["source.spm", "target.spm", "vocab.json"])
      if (!source.files.has(name)) throw missing(source, name);
    names.push(...here(MARIAN_TOKENIZER_FILES));
  }
  if (parts.includes("weights")) names.push(...(await weightsFiles(source)));
  return names;
}

async function weightsFiles(source: FileSource): Promise<string[]> {
  for (const file of WEIGHTS_FILES) {
    if (source.files.has(file)) return [file];
    const index = `${file}.index.json`;
    if (source.files.has(index)) return [index, ...(await shards(source, index))];
  }
  throw missing(source, `weights (${WEIGHTS_FILES.join(", ")})`);
}

async function shards(source: FileSource, index: string): Promise<string[]> {
  const names = new Set(shardNames(await source.read(index)));
  if (names.size === 0 || ![...names].every(isFileName))
    throw new LingolensError(
      "checkpoint-damaged",
      `${source.name}, ${index}: expected a weight_map from tensors to files in the same folder. The checkpoint has to ` +
        "be saved anew by whoever made it.",
    );
  for (const name of names) if (!source.files.has(name)) throw missing(source, name);
  return [...names].sort();
}

function shardNames(text: string): string[] {
  try {
    return Object.values(JSON.parse(text).weight_map);
  } catch {
    return [];
  }
}

function missing({ name }: FileSource, what: string): LingolensError {
  return new LingolensError(
    "file-not-found",
    `${name} has no ${what}, and so is no model that lingolens reads. docs/model-folder.md says what one holds.`,
  );
}
