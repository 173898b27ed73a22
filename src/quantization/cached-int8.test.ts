import { readdir, truncate } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { temporaryFolder, writeTinyCaptioner } from "../../test/support/tiny-captioner.js";
import { loadCaptioner } from "../captioner/load-captioner.js";
import { renderScene } from "../data/scenes/render.js";
import { sceneAt } from "../data/scenes/scene.js";
import { openSafetensors, readTensor, writeSafetensors } from "../weights/safetensors.js";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let model: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  model = join(folder.path, "model");
  await writeTinyCaptioner(model);
  // The library was found before this, in the cache that the user has.
  await (await loadCaptioner({ model })).close();
  vi.stubEnv("XDG_CACHE_HOME", join(folder.path, "cache"));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await folder.remove();
});

const scene = renderScene(sceneAt({ split: "train", seed: 3, index: 0 }));
const refused = (code: string) => expect.objectContaining({ name: "LingolensError", code });

async function captionInInt8(): Promise<{ caption: unknown; notices: string[] }> {
  const notices: string[] = [];
  const captioner = await loadCaptioner({ model, dtype: "int8", onNotice: (line) => notices.push(line) });
  const caption = await captioner.caption(scene, { lang: "all" });
  await captioner.close();
  return { caption, notices };
}

async function cached(): Promise<string> {
  const place = join(folder.path, "cache", "lingolens", "int8");
  const [name] = (await readdir(place)).filter((entry) => !entry.endsWith(".lock"));
  return join(place, name!);
}

it("rounds a model once, and again when the result is damaged", async () => {
  const first = await captionInInt8();
  expect(first.notices).toHaveLength(1);
  const second = await captionInInt8();
  expect(second).toEqual({ caption: first.caption, notices: [] });

  await truncate(join(await cached(), "model.safetensors"), 5000);
  const third = await captionInInt8();
  expect(third.caption).toEqual(first.caption);
  expect(third.notices).toHaveLength(1);
});

it("two at once round it once", async () => {
  await truncate(join(await cached(), "model.safetensors"), 5000);
  const both = await Promise.all([captionInInt8(), captionInInt8()]);
  expect(both.flatMap(({ notices }) => notices)).toHaveLength(1);
  expect(both[0].caption).toEqual(both[1].caption);
});

it.each(["fp32", "bf16"] as const)("is not computed with in %s", async (dtype) => {
  await expect(loadCaptioner({ model: await cached(), dtype })).rejects.toEqual(
    refused("option-unsupported"),
  );
});

it("names a weight whose scale does not fit, and one that has none", async () => {
  const path = join(await cached(), "model.safetensors");
  const file = await openSafetensors(path);
  const tensors = new Map(
    await Promise.all(
      [...file.header.tensors.keys()].map(async (name) => [name, await readTensor(file, name)] as const),
    ),
  );
  const scale = "model.decoder.layers.0.fc1.weight_scale";
  await writeSafetensors(
    path,
    new Map([...tensors, [scale, { dtype: "F32" as const, shape: [3], data: new Float32Array(3) }]]),
  );
  await expect(loadCaptioner({ model: await cached() })).rejects.toEqual(refused("checkpoint-mismatch"));
  await expect(loadCaptioner({ model: await cached() })).rejects.toThrow(
    /layers\.0\.fc1\.weight: expected int8/,
  );

  tensors.delete(scale);
  await writeSafetensors(path, tensors);
  await expect(loadCaptioner({ model: await cached() })).rejects.toThrow(/layers\.0\.fc1\.weight.*got I8/s);
});
