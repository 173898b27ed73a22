// Draws the example pictures: the first six scenes of the split that training never sees, not chosen.
//
//     npm run build && node scripts/make-examples.mjs
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { renderScene } from "../dist/data/scenes/render.js";
import { sceneAt } from "../dist/data/scenes/scene.js";

const COUNT = 6;
/** Pixels a side: twice what the bundled model sees, as pictures are seldom of the size that a model wants. */
const SIZE = 192;

const out = fileURLToPath(new URL("../examples", import.meta.url));
await mkdir(out, { recursive: true });
for (let index = 0; index < COUNT; index++) {
  const { width, height, data } = renderScene(sceneAt({ split: "test", seed: 0, index, size: SIZE }));
  const path = join(out, `scene-${index + 1}.png`);
  await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(path);
  console.log(path);
}
