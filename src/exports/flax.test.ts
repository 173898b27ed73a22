import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readFlaxArrays } from "../../test/support/flax-files.js";
import { tinyModel } from "../../test/support/model-folder-fixture.js";
import { temporaryFolder, writeTinyCaptioner } from "../../test/support/tiny-captioner.js";
import { loadTokenizerFolder } from "../text/tokenizer-folder.js";
import { openModelFolder } from "../weights/model-folder.js";
import { exportFlax } from "./flax.js";

let temporary: Awaited<ReturnType<typeof temporaryFolder>>;
// Reading Flax's weights converts them into the user's cache.
const caches = process.env.XDG_CACHE_HOME;
beforeAll(async () => {
  temporary = await temporaryFolder();
  process.env.XDG_CACHE_HOME = join(temporary.path, "caches");
});
afterAll(async () => {
  if (caches === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = caches;
  await temporary.remove();
});

describe("exportFlax", () => {
  it("writes the arrays that Flax wrote of the same model", async () => {
    const from = join(temporary.path, "golden");
    await mkdir(from);
    for (const name of ["config.json", "model.safetensors"])
      await copyFile(join(tinyModel, name), join(from, name));
    const out = join(temporary.path, "golden-flax");
    await mkdir(out);
    await exportFlax(await openModelFolder(from), out);
    const [ours, theirs] = await Promise.all(
      [out, tinyModel].map((folder) => readFlaxArrays(join(folder, "flax_model.msgpack"))),
    );
    expect([...ours!.keys()].sort()).toEqual([...theirs!.keys()].sort());
    for (const [name, array] of theirs!) expect(ours!.get(name), name).toEqual(array);
  });

  it("is read back as the same model, its epsilon and tokenizer included, and says what the original would do", async () => {
    const tiny = join(temporary.path, "tiny");
    await writeTinyCaptioner(tiny);
    const out = join(temporary.path, "tiny-flax");
    await mkdir(out);
    const notices: string[] = [];
    const before = await openModelFolder(tiny);
    await exportFlax(before, out, { onNotice: (line) => notices.push(line) });
    expect(notices).toEqual([expect.stringContaining("epsilon 0.00001")]);
    const after = await openModelFolder(out, { onNotice: () => {} });
    expect(after.config).toEqual(before.config);
    expect(after.generationConfig).toMatchObject({ ...before.generationConfig });
    for (const [name, weight] of before.weights)
      expect(await after.weights.get(name)!.read(), name).toEqual(await weight.read());
    const [full, again] = [await loadTokenizerFolder(tiny), await loadTokenizerFolder(out)];
    expect(again.definition.pieces).toEqual(full.definition.pieces);
    const config = JSON.parse(await readFile(join(out, "config.json"), "utf8"));
    expect(config.mbart_config.layer_norm_eps).toBe(1e-5);
  });
});
