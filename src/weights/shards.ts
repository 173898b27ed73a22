/** Checkpoints in several files, with an index that says which file holds which tensor. */
import { basename, join } from "node:path";
import { damaged } from "./safetensors-header.js";
import type { StoredTensor } from "./stored-tensor.js";

/**
 * The tensors of all shards that an index names.
 * @param nameOf The tensor's name for a name in the index.
 * @throws {LingolensError} `checkpoint-damaged` where index and shards contradict each other, and what `open` throws
 */
export async function openShards(
  folder: string,
  indexPath: string,
  weightMap: unknown,
  open: (path: string) => Promise<ReadonlyMap<string, StoredTensor>>,
  nameOf: (indexName: string) => string,
): Promise<Map<string, StoredTensor>> {
  if (typeof weightMap !== "object" || weightMap === null) {
    throw damaged(indexPath, "expected an object as weight_map, from tensors to files");
  }
  const tensors = new Map<string, StoredTensor>();
  for (const shard of new Set<unknown>(Object.values(weightMap))) {
    if (!isFileName(shard)) {
      throw damaged(
        indexPath,
        `expected in weight_map names of files in the same folder, got ${String(shard)}`,
      );
    }
    for (const [name, tensor] of await open(join(folder, shard))) {
      const twin = tensors.get(name);
      if (twin)
        throw damaged(indexPath, `expected tensor "${name}" once, got it in ${twin.file} and ${shard}`);
      tensors.set(name, tensor);
    }
  }
  for (const [indexName, shard] of Object.entries(weightMap)) {
    const tensor = tensors.get(nameOf(indexName));
    if (!tensor || basename(tensor.file) !== shard) {
      const got = tensor ? tensor.file : "none";
      throw damaged(indexPath, `expected tensor "${indexName}" in ${shard}, got ${got}`);
    }
  }
  return tensors;
}

/** Whether a name from a file may be used: nothing that leads out of the folder, on any system. */
export function isFileName(name: unknown): name is string {
  return typeof name === "string" && /^[^/\\:\0]+$/.test(name) && name !== "." && name !== "..";
}
