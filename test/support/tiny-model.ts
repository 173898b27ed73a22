import { fileURLToPath } from "node:url";
import type { HostTensor } from "../../src/engine/engine.js";
import { openSafetensors, readTensor } from "../../src/weights/safetensors.js";

/** Hugging Face's outputs for a tiny model; see test/fixtures/README.md. */
export const tinyModel = fileURLToPath(new URL("../fixtures/tiny-model/", import.meta.url));

/** All float32 and int64 tensors of a file, as they are fed. */
export async function readTensors(path: string): Promise<Map<string, HostTensor>> {
  const file = await openSafetensors(path);
  const tensors = new Map<string, HostTensor>();
  for (const name of file.header.tensors.keys()) {
    const { dtype, shape, data } = await readTensor(file, name);
    if (dtype === "F32") tensors.set(name, { dtype: "float32", shape, data: data as Float32Array });
    if (dtype === "I64") tensors.set(name, { dtype: "int64", shape, data: data as BigInt64Array });
  }
  return tensors;
}

export function maxAbsoluteDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let worst = a.length === b.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
  return worst;
}

export function maxAbsolute(a: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]!));
  return largest;
}
