/** Flax checkpoints for tests. */
import { openFlaxCheckpoint } from "../../src/weights/flax-reader.js";
import type { FlaxTree } from "../../src/weights/flax-writer.js";
import type { SafetensorsSource, SafetensorsTensor } from "../../src/weights/safetensors.js";
import { readStoredTensor } from "../../src/weights/stored-tensor.js";

/** Every array of a file, by its path joined by dots. */
export async function readFlaxArrays(path: string): Promise<Map<string, SafetensorsTensor>> {
  const all = new Map<string, SafetensorsTensor>();
  for (const [name, tensor] of (await openFlaxCheckpoint(path)).tensors)
    all.set(name, await readStoredTensor(tensor));
  return all;
}

/** The tree that names joined by dots stand for. */
export function flaxTree(tensors: ReadonlyMap<string, SafetensorsSource>): FlaxTree {
  const root = new Map<string, FlaxTree | SafetensorsSource>();
  for (const [name, tensor] of tensors) {
    const path = name.split(".");
    let branch = root;
    for (const part of path.slice(0, -1)) {
      if (!branch.has(part)) branch.set(part, new Map());
      branch = branch.get(part) as typeof root;
    }
    branch.set(path.at(-1)!, tensor);
  }
  return root;
}
