/** What transformers.js makes of an exported folder. `npm run test:transformers-js` installs it and runs this. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/tiny-captioner.js";
import { loadCaptioner } from "../captioner/load-captioner.js";
import { bundledModelFolder } from "../weights/bundled-model.js";
import { openModelFolder } from "../weights/model-folder.js";
import { exportOnnx, type OnnxOptions } from "./onnx.js";

const peer = fileURLToPath(new URL("../../test/peers/transformers-js", import.meta.url));
const installed = existsSync(join(peer, "node_modules/@huggingface/transformers"));
const shared = process.env.LINGOLENS_SHARED;
const scenes = [1, 2, 3].map((n) => fileURLToPath(new URL(`../../examples/scene-${n}.png`, import.meta.url)));
const languages = ["en_XX", "de_DE", "fr_XX", "es_XX"];

let temporary: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  temporary = await temporaryFolder();
});
afterAll(() => temporary.remove());

/** The peer's greedy captions and ours. */
async function both(model: string, images: readonly string[], maxLength: number, options: OnnxOptions = {}) {
  const folder = join(temporary.path, `exported-${Math.random()}`);
  await mkdir(folder);
  await exportOnnx(await openModelFolder(model), folder, options);
  // In a process of its own: it brings another ONNX Runtime.
  const { stdout, stderr, status } = spawnSync(process.execPath, [join(peer, "caption.mjs")], {
    input: JSON.stringify({ folder, images, languages, maxLength }),
    encoding: "utf8",
  });
  expect(status, stderr).toBe(0);
  const captioner = await loadCaptioner({ model });
  try {
    const results = await captioner.caption(images, { lang: languages, beams: 1, maxLength });
    const ours = results.map((result) => {
      if (!("captions" in result)) throw new Error(result.error.message);
      const { tokens, text } = result.captions[0]!;
      return { tokens, text };
    });
    return { theirs: JSON.parse(stdout), ours };
  } finally {
    await captioner.close();
  }
}

describe.skipIf(!installed)("transformers.js", () => {
  it.each(["fp32", "fp16"] as const)("captions alike, with weights in %s", async (dtype) => {
    const { theirs, ours } = await both(bundledModelFolder, scenes, 64, { dtype });
    expect(theirs).toEqual({ captions: ours, piped: ours[0]!.text });
  });

  it("captions alike with weights in several files", async () => {
    const { theirs, ours } = await both(bundledModelFolder, scenes.slice(0, 1), 64, {
      maxFileBytes: 2 ** 20,
    });
    expect(theirs.captions).toEqual(ours);
  });

  it.skipIf(!shared)("captions photos alike by a model with a projection", async () => {
    const root = join(shared!, "goldens/tiny-e2e");
    const crops = (await readdir(join(root, "crops"))).map((name) => join(root, "crops", name));
    const { theirs, ours } = await both(join(root, "form2-safetensors"), crops, 24);
    expect(theirs.captions).toEqual(ours);
  });
});
