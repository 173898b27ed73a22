// Fine-tuning as a user does it: the bundled model learns a shape and a language that it never saw.
//
//     npm run build && node bench/fine-tune.mjs --work DIR [--steps 1800] [--learning-rate 5e-4]
//
// Draws training scenes in five languages, a part of them with moons, which no scene of ours has; runs `lingolens train
// fine-tune` on them; then prints, on scenes that training never showed, the share of captions that are right word for
// word: of moons in all languages, of Italian, and of the four languages that the model knew, before and after.
import { spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import sharp from "sharp";
import { loadCaptioner } from "../dist/captioner/load-captioner.js";
import { sceneCaption } from "../dist/data/scenes/caption.js";
import { renderScene } from "../dist/data/scenes/render.js";
import { sceneAt } from "../dist/data/scenes/scene.js";

const { values } = parseArgs({
  options: {
    work: { type: "string" },
    steps: { type: "string", default: "1800" },
    "learning-rate": { type: "string", default: "5e-4" },
  },
});
if (!values.work) throw new Error("--work DIR is needed: where data and the run are written.");

const OLD = ["en", "de", "fr", "es"];
const LANGUAGES = [...OLD, "it"];
const SIZE = 96;
/** A moon has a star's gender in each of the languages, so that the captions differ in the noun alone. */
const MOONS = {
  en: ["star", "moon"],
  de: ["Stern", "Mond"],
  fr: ["étoile", "lune"],
  es: ["estrella", "luna"],
  it: ["stella", "luna"],
};

/** A scene as it is, or with a moon in place of its star. */
function captionsOf(scene, moon) {
  return Object.fromEntries(
    LANGUAGES.map((lang) => {
      const { text } = sceneCaption(scene, lang);
      return [lang, moon ? text.replace(...MOONS[lang]) : text];
    }),
  );
}

async function draw(scene, moon) {
  const objects = moon ? scene.objects.filter(({ kind }) => kind !== "star") : scene.objects;
  const { width, height, data } = renderScene({ ...scene, objects });
  const picture = sharp(data, { raw: { width, height, channels: 3 } });
  if (!moon) return picture.png().toBuffer();
  const { centre, radius, rgb, tilt } = scene.objects.find(({ kind }) => kind === "star");
  const crescent = `<svg xmlns="http://www.w3.org/2000/svg" width="${SIZE}" height="${SIZE}">
    <path transform="translate(${centre}) rotate(${(tilt * 180) / Math.PI}) scale(${radius})" fill="rgb(${rgb})"
      d="M0.35 -0.94A1 1 0 1 0 0.35 0.94A0.95 0.95 0 0 1 0.35 -0.94Z"/></svg>`;
  return picture
    .composite([{ input: Buffer.from(crescent) }])
    .png()
    .toBuffer();
}

/** Scenes with one to three objects; with one star each where it becomes a moon. */
function* scenesOf(split, seed, count, moon) {
  for (let index = 0, found = 0; found < count; index++) {
    const scene = sceneAt({ split, seed, index, objects: (index % 3) + 1, size: SIZE });
    if (moon && scene.objects.filter(({ kind }) => kind === "star").length !== 1) continue;
    found += 1;
    yield scene;
  }
}

async function writeTrainingData(folder) {
  await mkdir(join(folder, "images"), { recursive: true });
  const lines = [];
  const parts = [
    { count: 12_000, moon: false },
    { count: 3_000, moon: true },
  ];
  for (const { count, moon } of parts)
    for (const scene of scenesOf("train", 11, count, moon)) {
      const image = `images/${lines.length}.png`;
      await writeFile(join(folder, image), await draw(scene, moon));
      lines.push({ image, captions: captionsOf(scene, moon) });
    }
  // The last pictures are evaluated on while training: some of both kinds.
  lines.sort(
    (a, b) => (Number.parseInt(a.image.slice(7), 10) % 100) - (Number.parseInt(b.image.slice(7), 10) % 100),
  );
  await writeFile(join(folder, "captions.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

/** By language, the share of captions that are right word for word. */
async function rightCaptions(model, languages, moon) {
  const captioner = await loadCaptioner(model ? { model } : {});
  const scenes = [...scenesOf("test", 12, 200, moon)];
  const pictures = await Promise.all(scenes.map((scene) => draw(scene, moon)));
  const results = await captioner.caption(pictures, { lang: languages, batchSize: 16 });
  await captioner.close();
  return Object.fromEntries(
    languages.map((lang, j) => {
      const right = scenes.filter((scene, i) => {
        return results[i * languages.length + j].captions[0].text === captionsOf(scene, moon)[lang];
      });
      return [lang, right.length / scenes.length];
    }),
  );
}

const data = join(values.work, "moons");
const out = join(values.work, "run");
await writeTrainingData(data);
const before = await rightCaptions(undefined, OLD, false);
const start = performance.now();
const { status } = spawnSync(
  process.execPath,
  [
    ...[fileURLToPath(new URL("../dist/cli/main.js", import.meta.url)), "train", "fine-tune", "--out", out],
    ...["--set", `data.path=${data}`, "--set", `languages=${JSON.stringify(LANGUAGES)}`],
    ...["--set", `steps=${values.steps}`, "--set", `learningRate=${values["learning-rate"]}`],
  ],
  { stdio: ["ignore", "inherit", "inherit"] },
);
if (status !== 0) process.exit(1);
const minutes = (performance.now() - start) / 60_000;
const model = join(out, "final");
const report = (what, shares) =>
  console.log(
    `${what.padEnd(34)} ${Object.entries(shares)
      .map(([lang, share]) => `${lang} ${(100 * share).toFixed(1)} %`)
      .join("  ")}`,
  );
console.log(`${values.steps} steps in ${minutes.toFixed(1)} minutes (at most 10)`);
report("old languages, before", before);
report("old languages, after", await rightCaptions(model, OLD, false));
report("Italian (at least 75 %)", await rightCaptions(model, ["it"], false));
report("moons (at least 75 %)", await rightCaptions(model, LANGUAGES, true));
