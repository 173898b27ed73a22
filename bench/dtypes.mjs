// What the bundled model says of drawn scenes in bf16 and in int8, against float32.
//
//     npm run build && node bench/dtypes.mjs [--model DIR] [--count 500] [--json]
//
// Prints, over scenes of the test split in four languages with 4 beams: the share of captions that are right word for word,
// and of those that are the same as in float32. bf16 needs oneDNN and a processor with AMX or AVX512-BF16.
import { parseArgs } from "node:util";
import { loadCaptioner } from "../dist/captioner/load-captioner.js";
import { sceneCaption } from "../dist/data/scenes/caption.js";
import { renderScene } from "../dist/data/scenes/render.js";
import { sceneAt } from "../dist/data/scenes/scene.js";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    count: { type: "string", default: "500" },
    json: { type: "boolean" },
  },
});
const languages = ["en", "de", "fr", "es"];
const scenes = Array.from({ length: Number(values.count) }, (_, index) =>
  sceneAt({ split: "test", seed: 1, index }),
);
const images = scenes.map(renderScene);
const right = scenes.flatMap((scene) => languages.map((language) => sceneCaption(scene, language).text));

const share = (texts, others) => texts.filter((text, i) => text === others[i]).length / texts.length;
const said = {};
for (const dtype of ["fp32", "bf16", "int8"]) {
  const captioner = await loadCaptioner({ dtype, ...(values.model && { model: values.model }) });
  const results = await captioner.caption(images, { lang: languages, batchSize: 16 });
  said[dtype] = results.map(({ captions }) => captions[0].text);
  await captioner.close();
}
const results = Object.fromEntries(
  Object.entries(said).map(([dtype, texts]) => [
    dtype,
    { right: share(texts, right), asFloat32: share(texts, said.fp32) },
  ]),
);
if (values.json) console.log(JSON.stringify(results));
else
  for (const [dtype, { right, asFloat32 }] of Object.entries(results))
    console.log(
      `${dtype}: ${(100 * right).toFixed(2)} % right, ${(100 * asFloat32).toFixed(2)} % as in float32`,
    );
