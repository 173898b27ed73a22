// One picture in four languages against one picture in one language, beam 4.
//
//     npm run build && node bench/languages.mjs [--large] [--runs 5]
//
// The bundled model; with --large a random one of the original's size (12 layers of width 1024, CLIP ViT-B/32,
// 250,054 tokens; 2.2 GB in the temporary folder), all captions 20 tokens long.
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadCaptioner } from "../dist/captioner/load-captioner.js";
import { renderScene } from "../dist/data/scenes/render.js";
import { sceneAt } from "../dist/data/scenes/scene.js";
import { bundledModelFolder } from "../dist/weights/bundled-model.js";
import { writeRandomModel } from "./random-model.mjs";

const { values } = parseArgs({
  options: { large: { type: "boolean" }, runs: { type: "string", default: "5" } },
});
const runs = Number(values.runs);
const folder = values.large ? await mkdtemp(join(tmpdir(), "lingolens-bench-")) : undefined;
try {
  const model = folder ? join(folder, "model") : bundledModelFolder;
  if (folder) await writeRandomModel(model);
  const captioner = await loadCaptioner({ model });
  const picture = renderScene(
    sceneAt({ split: "test", seed: 1, index: 0, size: captioner.config.vision.imageSize }),
  );
  const length = 20;
  const settings = { beams: 4, minLength: length, maxLength: length };
  const timeOf = async (lang) => {
    const start = performance.now();
    await captioner.caption(picture, { ...settings, lang });
    return performance.now() - start;
  };
  const four = ["en", "de", "fr", "es"];
  const times = { one: [], four: [] };
  await timeOf(four);
  // In turn, so that whatever else the machine does falls on both.
  for (let run = 0; run < runs; run++) {
    times.one.push(await timeOf(["en"]));
    times.four.push(await timeOf(four));
  }
  const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
  const [one, all] = [median(times.one), median(times.four)];
  console.log(
    `${values.large ? "random model of the original's size" : "bundled model"}, ${length} tokens, beam 4, median of ${runs} runs`,
  );
  console.log(`${cpus()[0].model}, ${availableParallelism()} processors`);
  console.log(
    `1 language ${one.toFixed(0)} ms, 4 languages ${all.toFixed(0)} ms: ratio ${(all / one).toFixed(2)}`,
  );
  await captioner.close();
} finally {
  if (folder) await rm(folder, { recursive: true, force: true });
}
