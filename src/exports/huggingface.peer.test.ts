/** What Python's transformers makes of an exported folder. LINGOLENS_PEER_PYTHON names an interpreter that has them. */
import { spawnSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { writeChangedModel } from "../../test/support/changed-model.js";
import { temporaryFolder, writeTinyCaptioner } from "../../test/support/tiny-captioner.js";
import { loadCaptioner } from "../captioner/load-captioner.js";
import { bundledModelFolder } from "../weights/bundled-model.js";
import { openModelFolder } from "../weights/model-folder.js";
import { exportHuggingFace } from "./huggingface.js";

const python = process.env.LINGOLENS_PEER_PYTHON;
const script = fileURLToPath(new URL("../../test/peers/huggingface.py", import.meta.url));
const images = [1, 2, 3].map((n) => fileURLToPath(new URL(`../../examples/scene-${n}.png`, import.meta.url)));

/** The peer's greedy captions and ours. */
async function both(model: string, folder: string, maxLength: number) {
  const out = join(folder, "exported");
  await mkdir(out);
  await exportHuggingFace(await openModelFolder(model), out);
  const languages = ["en_XX", "de_DE", "fr_XX", "es_XX"];
  const { stdout, stderr, status } = spawnSync(python!, [script], {
    input: JSON.stringify({ folder: out, images, languages, maxLength }),
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

describe.skipIf(!python)("Hugging Face's VisionEncoderDecoderModel", () => {
  it("loads the bundled model, whose logits have a bias, whole and captions alike", async () => {
    const { path, remove } = await temporaryFolder();
    const { theirs, ours } = await both(bundledModelFolder, path, 64);
    expect(theirs).toEqual({ problems: {}, captions: ours });
    await remove();
  });

  it("computes alike with an epsilon that it does not know", async () => {
    const { path, remove } = await temporaryFolder();
    await writeTinyCaptioner(join(path, "tiny"));
    await writeChangedModel(join(path, "tiny"), join(path, "model"), {
      config: (config) => ({ ...config, decoder: { ...config.decoder, layerNormEps: 1e-2 } }),
    });
    const { theirs, ours } = await both(join(path, "model"), path, 24);
    expect(theirs).toEqual({ problems: {}, captions: ours });
    await remove();
  });
});
