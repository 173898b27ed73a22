import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  changeTensors,
  readTinyTensors,
  refusal,
  saveShards,
  type Tensors,
  tinyModel,
} from "../../test/support/model-folder-fixture.js";
import { LingolensError } from "../errors.js";
import { openModelFolder } from "./model-folder.js";
import { writeSafetensors } from "./safetensors.js";

let scratch: string;
let folder: string;
let tests = 0;
/** Every tensor of the golden model; not to be changed. */
let tiny: Tensors;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "lingolens-model-folder-"));
  tiny = await readTinyTensors();
});
afterAll(() => rm(scratch, { recursive: true }));
beforeEach(async () => {
  folder = join(scratch, `model-${tests++}`);
  await mkdir(folder);
  await cp(join(tinyModel, "config.json"), join(folder, "config.json"));
});

async function save(tensors: Tensors): Promise<void> {
  await writeSafetensors(join(folder, "model.safetensors"), tensors);
}

describe("openModelFolder on damaged folders", () => {
  const badIndices: [what: string, index: (weightMap: Record<string, string>) => unknown, words: string][] = [
    ["no weight_map", () => ({}), "weight_map"],
    [
      "a path out of the folder",
      (map) => ({ weight_map: { ...map, x: "../x.safetensors" } }),
      "../x.safetensors",
    ],
    ["an absolute path", (map) => ({ weight_map: { ...map, x: "/etc/passwd" } }), "/etc/passwd"],
    ["the parent folder", (map) => ({ weight_map: { ...map, x: ".." } }), ".."],
    ["a number as file", (map) => ({ weight_map: { ...map, x: 7 } }), "got 7"],
    [
      "a tensor in the wrong shard",
      (map) => ({ weight_map: { ...map, "model.shared.weight": "model-00001-of-00002.safetensors" } }),
      '"model.shared.weight"',
    ],
    ["a tensor that is nowhere", (map) => ({ weight_map: { ...map, x: map["model.shared.weight"] } }), '"x"'],
  ];
  it.each(badIndices)("refuses an index with %s", async (_, index, words) => {
    await saveShards(folder, tiny, index);
    await expect(openModelFolder(folder)).rejects.toMatchObject(refusal("checkpoint-damaged", words));
  });

  it("names a shard that is missing", async () => {
    await saveShards(folder, tiny, (weightMap) => ({ weight_map: weightMap }));
    await rm(join(folder, "model-00002-of-00002.safetensors"));
    await expect(openModelFolder(folder)).rejects.toMatchObject(refusal("file-not-found", "model-00002"));
  });

  it("names parameters that are missing, unknown or of another shape", async () => {
    const norm = "model.decoder.layer_norm.weight";
    const tensors = changeTensors(tiny, (name, tensor) => {
      if (name === norm) return [];
      if (name !== "model.visual_projection.weight") return [[name, tensor]];
      return [
        ["text_model.extra.weight", tensor],
        [name, { ...tensor, shape: [32, 48] }],
      ];
    });
    await save(tensors);
    await expect(openModelFolder(folder)).rejects.toMatchObject(
      refusal(
        "checkpoint-mismatch",
        `Missing: ${norm} [48].`,
        "Not of this model: text_model.extra.weight [48, 32].",
        "model.visual_projection.weight (expected [48, 32], got [32, 48])",
      ),
    );
  });

  it("refuses an output layer that is not the embedding, and weights that are whole numbers", async () => {
    const embedding = tiny.get("model.shared.weight")!;
    const head = Float32Array.from(embedding.data as Float32Array);
    head[head.length - 1]! += 1;
    await save(new Map([...tiny, ["lm_head.weight", { ...embedding, data: head }]]));
    await expect(openModelFolder(folder)).rejects.toMatchObject(
      refusal("checkpoint-mismatch", "lm_head.weight", "model.shared.weight"),
    );
    await save(
      new Map([
        ...tiny,
        ["final_logits_bias", { dtype: "I32", shape: [1, 1000], data: new Int32Array(1000) }],
      ]),
    );
    await expect(openModelFolder(folder)).rejects.toMatchObject(
      refusal("checkpoint-mismatch", "final_logits_bias", "got I32"),
    );
  });

  it("says what a folder lacks", async () => {
    await expect(openModelFolder(folder)).rejects.toMatchObject(refusal("unsupported-format", "no weights"));
    await writeFile(join(folder, "pytorch_model.bin"), "");
    await expect(openModelFolder(folder)).rejects.toMatchObject(
      refusal("unsupported-format", "pytorch_model.bin"),
    );
    await rm(join(folder, "config.json"));
    await expect(openModelFolder(folder)).rejects.toMatchObject(refusal("file-not-found", "config.json"));
    await expect(openModelFolder(join(folder, "no"))).rejects.toMatchObject(refusal("file-not-found", "no"));
    await writeFile(join(folder, "config.json"), "{");
    await expect(openModelFolder(folder)).rejects.toMatchObject(refusal("config-invalid", "config.json"));
    await writeFile(join(folder, "config.json"), "[]");
    await expect(openModelFolder(folder)).rejects.toMatchObject(refusal("config-invalid", "config.json"));
  });

  it.each(["config.json", "model.safetensors"])(
    "answers any changed byte of %s's text with a typed error",
    async (name) => {
      await save(tiny);
      const whole = await readFile(join(folder, name));
      const textBytes = name === "config.json" ? whole.length : 8 + Number(whole.readBigUInt64LE(0));
      let refused = 0;
      await fc.assert(
        fc.asyncProperty(fc.nat(textBytes - 1), fc.integer({ min: 1, max: 255 }), async (position, flip) => {
          const spoilt = Buffer.from(whole);
          spoilt[position]! ^= flip;
          await writeFile(join(folder, name), spoilt);
          const error = await openModelFolder(folder).then(
            () => undefined,
            (thrown: unknown) => thrown,
          );
          // A changed byte may still make a valid folder: a field that nobody reads, a space.
          if (error === undefined) return;
          expect(error).toBeInstanceOf(LingolensError);
          refused++;
        }),
        { numRuns: 200 },
      );
      expect(refused).toBeGreaterThan(20);
      await writeFile(join(folder, name), whole.subarray(0, whole.length - 40));
      await expect(openModelFolder(folder)).rejects.toBeInstanceOf(LingolensError);
    },
  );
});
