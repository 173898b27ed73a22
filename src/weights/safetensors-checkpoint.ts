/** The tensors of a folder's safetensors checkpoint, in one file or in the shards that an index names. */
import { access } from "node:fs/promises";
import { basename, join } from "node:path";
import { readJsonObject } from "./json-file.js";
import { openSafetensors, type SafetensorsFile } from "./safetensors.js";
import { damaged } from "./safetensors-header.js";

export const SINGLE_FILE = "model.safetensors";
export const INDEX_FILE = "model.safetensors.index.json";

/** The file of every tensor by the tensor's name, or undefined where the folder has neither file nor index. */
export async function openSafetensorsCheckpoint(
  folder: string,
): Promise<Map<string, SafetensorsFile> | undefined> {
  const single = join(folder, SINGLE_FILE);
  if (await exists(single)) {
    const file = await openSafetensors(single);
    return new Map([...file.header.tensors.keys()].map((name) => [name, file]));
  }
  const indexPath = join(folder, INDEX_FILE);
  const index = await readJsonObject(indexPath, "checkpoint-damaged");
  return index && openShards(folder, indexPath, index.weight_map);
}

async function openShards(
  folder: string,
  indexPath: string,
  weightMap: unknown,
): Promise<Map<string, SafetensorsFile>> {
  if (typeof weightMap !== "object" || weightMap === null) {
    throw damaged(indexPath, "expected an object as weight_map, from tensors to files");
  }
  const tensors = new Map<string, SafetensorsFile>();
  for (const shard of new Set<unknown>(Object.values(weightMap))) {
    if (!isFileName(shard)) {
      throw damaged(
        indexPath,
        `expected in weight_map names of files in the same folder, got ${String(shard)}`,
      );
    }
    const file = await openSafetensors(join(folder, shard));
    for (const name of file.header.tensors.keys()) {
      const twin = tensors.get(name);
      if (twin)
        throw damaged(indexPath, `expected tensor "${name}" once, got it in ${twin.path} and ${shard}`);
      tensors.set(name, file);
    }
  }
  for (const [name, shard] of Object.entries(weightMap)) {
    const file = tensors.get(name);
    if (!file || basename(file.path) !== shard) {
      throw damaged(indexPath, `expected tensor "${name}" in ${shard}, got ${file ? file.path : "none"}`);
    }
  }
  return tensors;
}

/** Whether a name from a file may be used: nothing that leads out of the folder, on any system. */
export function isFileName(name: unknown): name is string {
  return typeof name === "string" && /^[^/\\:\0]+$/.test(name) && name !== "." && name !== "..";
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
