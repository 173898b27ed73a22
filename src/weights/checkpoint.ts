/** The weights of a folder in whatever format, as tensors with PyTorch's names and order of axes. */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { LingolensError } from "../errors.js";
import { fromFlaxName } from "./checkpoint-names.js";
import { transposedKernel } from "./flax-kernel.js";
import { openFlaxCheckpoint } from "./flax-reader.js";
import { readJsonObject } from "./json-file.js";
import { openPytorchCheckpoint } from "./pytorch-checkpoint.js";
import { openSafetensors, tensorLocation } from "./safetensors.js";
import { damaged } from "./safetensors-header.js";
import { openShards } from "./shards.js";
import { locatedTensor, type StoredTensor } from "./stored-tensor.js";

export type CheckpointFormat = "safetensors" | "flax" | "pytorch";

type Tensors = ReadonlyMap<string, StoredTensor>;

/** In order of preference. */
const FORMATS: readonly {
  readonly format: CheckpointFormat;
  readonly file: string;
  readonly open: (path: string) => Promise<Tensors>;
  /** The tensor's name for its name in an index of shards. */
  readonly nameOf: (indexName: string) => string;
}[] = [
  {
    format: "safetensors",
    file: "model.safetensors",
    open: openSafetensorsTensors,
    nameOf: (indexName) => indexName,
  },
  {
    format: "flax",
    file: "flax_model.msgpack",
    open: openFlaxTensors,
    nameOf: (indexName) => fromFlaxName(indexName.replaceAll("/", ".")).name,
  },
  {
    format: "pytorch",
    file: "pytorch_model.bin",
    open: openPytorchCheckpoint,
    nameOf: (indexName) => indexName,
  },
];

export const SINGLE_FILE = FORMATS[0]!.file;

export interface CheckpointFiles {
  readonly format: CheckpointFormat;
  /**
   * Reads the list of tensors; with shards, those of all of them.
   * @throws {LingolensError} `file-not-found`, `checkpoint-damaged`, `unsupported-format`
   */
  open(): Promise<Checkpoint>;
}

export interface Checkpoint {
  /** By PyTorch's names. */
  readonly tensors: Tensors;
  /** Paths of the files that the tensors come from. */
  readonly files: readonly string[];
}

/**
 * What weights a folder has: the first of safetensors, Flax and PyTorch, in one file or in the shards of an index.
 * @throws {LingolensError} `unsupported-format` where it has none of these.
 */
export async function findCheckpoint(folder: string): Promise<CheckpointFiles> {
  for (const { format, file, open, nameOf } of FORMATS) {
    const path = join(folder, file);
    if (await exists(path))
      return { format, open: async () => ({ tensors: await open(path), files: [path] }) };
    const index = `${path}.index.json`;
    if (await exists(index)) {
      return {
        format,
        open: async () => {
          const json = await readJsonObject(index, "checkpoint-damaged");
          const tensors = await openShards(folder, index, json?.weight_map, open, nameOf);
          return { tensors, files: [...new Set([...tensors.values()].map(({ file }) => file))] };
        },
      };
    }
  }
  throw new LingolensError(
    "unsupported-format",
    `${folder}: expected weights as ${FORMATS.map(({ file }) => file).join(", ")}, or one of these in shards with an ` +
      "index, got no weights.",
  );
}

async function openSafetensorsTensors(path: string): Promise<Tensors> {
  const file = await openSafetensors(path);
  return new Map(
    [...file.header.tensors].map(([name, { dtype, shape }]) => [
      name,
      locatedTensor(dtype, shape, tensorLocation(file, name)),
    ]),
  );
}

async function openFlaxTensors(path: string): Promise<Tensors> {
  const { tensors, values } = await openFlaxCheckpoint(path);
  if (values.size > 0) {
    const names = [...values.keys()].slice(0, 5).join(", ");
    throw new LingolensError(
      "checkpoint-mismatch",
      `${path}: expected a model's arrays only, got other values (${names}). Save the model's parameters alone.`,
    );
  }
  const renamed = new Map<string, StoredTensor>();
  for (const [flaxName, tensor] of tensors) {
    const { name, kernel } = fromFlaxName(flaxName);
    if (renamed.has(name)) throw damaged(path, `expected one weight of ${name}, got two`);
    renamed.set(name, kernel ? transposedKernel(tensor, flaxName) : tensor);
  }
  return renamed;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
