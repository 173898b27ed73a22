// Whether training ever waits for its data.
//
//     npm run build && node bench/loader.mjs [--data DATASET --images DIR] [--model DIR] [--steps 30] [--json]
//
// Prints how many pictures a second one processor decodes, preprocesses and tokenises (four captions each), how many a
// training step of the model consumes, and the share of its time that the step waited for them. Without --data it
// draws 256 pictures of 500 x 500 pixels and stores them as JPEG. The model is the bundled one, batches of 32.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import sharp from "sharp";
import { openDataset } from "../dist/data/dataset.js";
import { sceneCaption } from "../dist/data/scenes/caption.js";
import { renderScene } from "../dist/data/scenes/render.js";
import { sceneAt } from "../dist/data/scenes/scene.js";
import { createNativeEngine } from "../dist/engine/native.js";
import { readPreprocessorConfig } from "../dist/image/preprocessor-config.js";
import { loadTokenizerFolder } from "../dist/text/tokenizer-folder.js";
import { noProgress } from "../dist/training/checkpoint.js";
import { datasetData } from "../dist/training/dataset-data.js";
import { LanguageMix } from "../dist/training/language-mix.js";
import { allocateTraining, fillTensor } from "../dist/training/parameters.js";
import { resolveRecipe } from "../dist/training/recipe.js";
import { SampleMaker } from "../dist/training/sample.js";
import { createSamplePool } from "../dist/training/sample-pool.js";
import { train } from "../dist/training/train.js";
import { bundledModelFolder } from "../dist/weights/bundled-model.js";
import { openModelFolder } from "../dist/weights/model-folder.js";
import { parameterShapes } from "../dist/weights/parameter-shapes.js";

const { values } = parseArgs({
  options: {
    data: { type: "string" },
    images: { type: "string" },
    model: { type: "string", default: bundledModelFolder },
    steps: { type: "string", default: "30" },
    threads: { type: "string" },
    json: { type: "boolean" },
  },
});
const languages = ["en", "de", "fr", "es"];
const temporary = await mkdtemp(join(tmpdir(), "lingolens-loader-"));
try {
  const path = values.data ?? (await drawPictures(temporary, 256));
  const folder = await openModelFolder(values.model);
  const files = [...folder.tokenizerFiles].map(async ([name, file]) => [name, await readFile(file)]);
  const makerOptions = {
    tokenizerFiles: new Map(await Promise.all(files)),
    preprocessor: readPreprocessorConfig(folder.preprocessorConfig ?? {}, folder.config.vision.imageSize),
  };
  const made = await oneProcessor(path, makerOptions);
  const step = await training(path, folder, makerOptions);
  const result = { processors: availableParallelism(), ...made, ...step };
  if (values.json) console.log(JSON.stringify(result));
  else
    console.log(
      `made on one processor   ${made.madePerSecond.toFixed(0)} pictures/s\n` +
        `consumed by the step    ${step.consumedPerSecond.toFixed(0)} pictures/s on ${result.processors} processors\n` +
        `ratio                   ${(made.madePerSecond / step.consumedPerSecond).toFixed(2)}\n` +
        `step waits              ${(100 * step.waitShare).toFixed(2)} % (at most ${step.longestWait.toFixed(0)} ms)`,
    );
} finally {
  await rm(temporary, { recursive: true });
}

async function drawPictures(folder, count) {
  const lines = [];
  for (let index = 0; index < count; index++) {
    const scene = sceneAt({ split: "train", seed: 1, index, objects: 2, size: 500 });
    const { width, height, data } = renderScene(scene);
    await sharp(data, { raw: { width, height, channels: 3 } })
      .jpeg()
      .toFile(join(folder, `${index}.jpg`));
    const captions = Object.fromEntries(
      languages.map((language) => [language, sceneCaption(scene, language).text]),
    );
    lines.push(JSON.stringify({ image: `${index}.jpg`, captions }));
  }
  await writeFile(join(folder, "captions.jsonl"), lines.join("\n"));
  return folder;
}

/** Processor time of all threads, so that decoding on libvips's is counted. */
async function oneProcessor(path, makerOptions) {
  const maker = new SampleMaker(makerOptions);
  const mix = new LanguageMix({ languages, seed: 1 });
  const samples = [];
  const dataset = await openDataset(path, { images: values.images });
  for await (const entry of dataset.entries()) {
    if (samples.length === 256) break;
    samples.push({ picture: entry, captions: mix.choose(entry, 0) });
  }
  for (const sample of samples.slice(0, 32)) await maker.make(sample);
  const before = process.cpuUsage();
  for (const sample of samples) await maker.make(sample);
  const { user, system } = process.cpuUsage(before);
  return { madePerSecond: samples.length / ((user + system) / 1e6) };
}

async function training(path, folder, makerOptions) {
  const recipe = resolveRecipe({
    name: "loader",
    model: { kind: "pretrained", path: values.model },
    data: { kind: "folder", path, ...(values.images && { images: values.images }) },
    languages,
    steps: Number(values.steps),
    batchSize: 32,
    workers: 2,
    gradientAccumulation: 2,
    learningRate: 1e-5,
    warmupSteps: 1,
    evaluateEvery: 1e6,
    evaluateCount: 1,
    checkpointEvery: 1e6,
  });
  const { data: source, ...shared } = recipe;
  const pool = createSamplePool(
    makerOptions,
    values.threads === undefined ? undefined : Number(values.threads),
  );
  const data = await datasetData({ ...shared, ...source, pool, onWarning: console.error });
  const shapes = parameterShapes(folder.config);
  const memory = allocateTraining(shapes, shapes);
  for (const [name, weight] of folder.weights) fillTensor(memory.parameters, name, await weight.read());
  const state = { progress: noProgress(), memory };

  const waits = [];
  const watched = {
    ...data,
    validationCount: 0,
    /** `then` is called when the step asks for the pictures. */
    batch(step, share) {
      const made = data.batch(step, share);
      return {
        catch: (rejected) => made.catch(rejected),
        // biome-ignore lint/suspicious/noThenProperty: it is awaited, and when that is shall be known
        then(resolved, rejected) {
          const asked = performance.now();
          return made
            .then((pictures) => {
              waits.push(performance.now() - asked);
              return pictures;
            })
            .then(resolved, rejected);
        },
      };
    },
  };
  const engine = await createNativeEngine();
  let started;
  let pictures = 0;
  let waited = 0;
  try {
    await train({
      engine,
      config: folder.config,
      recipe,
      data: watched,
      tokenizer: await loadTokenizerFolder(folder.path),
      preprocessor: makerOptions.preprocessor,
      generationConfig: {},
      state,
      out: join(temporary, "run"),
      writeModel: async () => {},
      onProgress({ step }) {
        // The first steps warm up.
        if (step === 5) [started, waits.length] = [performance.now(), 0];
        if (step === recipe.steps) {
          const seconds = (performance.now() - started) / 1000;
          pictures = ((step - 5) * recipe.batchSize) / seconds;
          waited = waits.reduce((sum, wait) => sum + wait, 0) / 1000 / seconds;
        }
      },
    });
  } finally {
    await data.close();
    await engine.close();
  }
  return { consumedPerSecond: pictures, waitShare: waited, longestWait: Math.max(...waits) };
}
