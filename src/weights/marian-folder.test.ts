import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it } from "vitest";
import { sinusoids } from "../model/marian.js";
import { openMarianFolder } from "./marian-folder.js";

const tinyMarian = fileURLToPath(new URL("../../test/fixtures/marian-tiny/", import.meta.url));
const shared = process.env.LINGOLENS_SHARED;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-marian-"));
  process.env.XDG_CACHE_HOME = folder;
});
afterEach(() => rm(folder, { recursive: true }));

it("reads safetensors and PyTorch's pickles, tied copies among them, to equal values", async () => {
  for (const name of ["config.json", "pytorch_model.bin"])
    await copyFile(join(tinyMarian, name), join(folder, name));
  const pytorch = await openMarianFolder(folder, { onNotice: () => {} });
  const safetensors = await openMarianFolder(tinyMarian);
  expect([...pytorch.weights.keys()].sort()).toEqual([...safetensors.weights.keys()].sort());
  for (const [name, weight] of safetensors.weights)
    expect(await pytorch.weights.get(name)!.read(), name).toEqual(await weight.read());
});

it.skipIf(!shared)("computes the positions that newer checkpoints leave out", async () => {
  const { config, weights } = await openMarianFolder(
    join(shared!, "fixtures/checkpoints/tiny-generated/marian"),
  );
  const positions = weights.get("model.embed_positions.weight")!;
  expect(positions.shape).toEqual([64, 32]);
  expect(await positions.read()).toEqual(sinusoids(config.maxPositions, config.hiddenSize));
});

it("names what is missing", async () => {
  await copyFile(join(tinyMarian, "config.json"), join(folder, "config.json"));
  await expect(openMarianFolder(folder)).rejects.toThrow(/expected weights/);
  await writeFile(join(folder, "config.json"), '{"model_type":"mbart"}');
  await expect(openMarianFolder(folder)).rejects.toThrow(/model_type: expected "marian"/);
});
