/** The golden model in test/fixtures/tiny-model, for tests that open, change and write models. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import type { ModelFolder } from "../../src/weights/model-folder.js";
import {
  openSafetensors,
  readTensor,
  type SafetensorsTensor,
  writeSafetensors,
} from "../../src/weights/safetensors.js";

export type Tensors = Map<string, SafetensorsTensor>;

export const tinyModel = fileURLToPath(new URL("../fixtures/tiny-model", import.meta.url));

export async function readTinyTensors(): Promise<Tensors> {
  const file = await openSafetensors(join(tinyModel, "model.safetensors"));
  const names = [...file.header.tensors.keys()];
  return new Map(await Promise.all(names.map(async (name) => [name, await readTensor(file, name)] as const)));
}

/** The tensors with some of another name, value or dtype. */
export function changeTensors(
  tensors: Tensors,
  change: (name: string, tensor: SafetensorsTensor) => [string, SafetensorsTensor][],
): Tensors {
  return new Map([...tensors].flatMap(([name, tensor]) => change(name, tensor)));
}

/** Writes the tensors as two shards, and the index that `index` makes of the map from tensors to shards. */
export async function saveShards(
  folder: string,
  tensors: Tensors,
  index: (weightMap: Record<string, string>) => unknown,
): Promise<void> {
  const names = [...tensors.keys()];
  const weightMap: Record<string, string> = {};
  for (const [i, part] of [names.slice(0, 40), names.slice(40)].entries()) {
    const file = `model-0000${i + 1}-of-00002.safetensors`;
    await writeSafetensors(join(folder, file), new Map(part.map((name) => [name, tensors.get(name)!])));
    for (const name of part) weightMap[name] = file;
  }
  await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify(index(weightMap)));
}

/** Expects the weights to be the golden model's, bit for bit. */
export async function expectTinyValues(
  { weights }: ModelFolder,
  { except }: { except?: string } = {},
): Promise<void> {
  const tiny = await readTinyTensors();
  expect([...weights.keys()].sort()).toEqual([...tiny.keys()].sort());
  for (const [name, { shape, data }] of tiny) {
    if (name === except) continue;
    expect(weights.get(name)!.shape).toEqual(shape);
    expect(await weights.get(name)!.read()).toEqual(data);
  }
}

/** Matches an error of this code whose message holds all these words. */
export function refusal(code: string, ...words: string[]) {
  const literal = (word: string) => word.replace(/[[\].*+?^$|(){}\\]/g, "\\$&");
  const all = words.map((word) => `(?=[^]*${literal(word)})`).join("");
  return { code, message: expect.stringMatching(new RegExp(`^${all}`)) };
}
