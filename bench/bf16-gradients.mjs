// The gradients of one step of the original's size in bf16 against float32.
//
//     npm run build && node bench/bf16-gradients.mjs [--json]
//
// Prints the loss of both, and by parameter the cosine between both gradients, the least first (bar: at least 0.995). Those
// of the keys' biases are left out: softmax does not change with what all scores have in common, so their true gradient is 0
// and what either computes is rounding. The model is as it begins. It needs 12 GB of memory.
import { parseArgs } from "node:util";
import { createBf16Engine } from "../dist/engine/bf16/bf16-engine.js";
import { initialPieces } from "../dist/model/initialize.js";
import { originalConfig as config } from "../dist/model/original.js";
import { randomNumbers } from "../dist/model/random.js";
import { makeBatch } from "../dist/training/batch.js";
import { GradientProgram } from "../dist/training/gradient-program.js";
import { allocateFlat } from "../dist/training/parameters.js";
import { parameterShapes } from "../dist/weights/parameter-shapes.js";

const { values } = parseArgs({ options: { json: { type: "boolean" } } });
const [batchSize, length] = [8, 32];

const shapes = parameterShapes(config);
const parameters = allocateFlat(shapes);
for (const [name, pieces] of initialPieces(config, shapes, 0)) {
  let done = 0;
  for (const piece of pieces()) {
    parameters.tensors[name].data.set(piece, done);
    done += piece.length;
  }
}
const random = randomNumbers(1);
const pictures = Array.from({ length: batchSize }, () => ({
  pixelValues: Float32Array.from({ length: 3 * 224 * 224 }, () => 2 * random() - 1),
  captions: [Array.from({ length }, () => 4 + Math.floor(250_000 * random()))],
}));
const batch = makeBatch(pictures, config, length);

const engine = await createBf16Engine();
async function gradientsIn(dtype) {
  const gradients = allocateFlat(shapes);
  const program = await GradientProgram.compile(engine, config, {
    trainable: new Set(shapes.keys()),
    labelSmoothing: 0,
    dropout: 0.1,
    inputDropout: 0,
    maskId: 0,
    maxTokens: batchSize * length,
    threads: 2,
    dtype,
  });
  const { lossSum, tokens } = await program.run(
    parameters,
    batch,
    { seed: 0, step: 0, firstPicture: 0 },
    gradients,
  );
  await program.close();
  return { loss: lossSum / tokens, gradients };
}
const exact = await gradientsIn("fp32");
const rounded = await gradientsIn("bf16");
await engine.close();

const cosines = [...shapes.keys()]
  .filter((name) => !name.endsWith("k_proj.bias"))
  .map((name) => ({
    name,
    ...compare(exact.gradients.tensors[name].data, rounded.gradients.tensors[name].data),
  }))
  .sort((a, b) => a.cosine - b.cosine);
if (values.json) console.log(JSON.stringify({ fp32: exact.loss, bf16: rounded.loss, cosines }));
else {
  console.log(`loss ${exact.loss} in float32, ${rounded.loss} in bf16`);
  const low = cosines.filter(({ cosine }) => cosine < 0.995);
  console.log(`${low.length} of ${cosines.length} parameters have a cosine below 0.995`);
  for (const { name, cosine, norm } of cosines.slice(0, Math.max(20, low.length)))
    console.log(`${cosine.toFixed(6)}  ${norm.toExponential(2)}  ${name}`);
}

/** The cosine between two gradients, and the first one's norm. Parameters without a gradient count as 1. */
function compare(a, b) {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return { cosine: aa + bb === 0 ? 1 : ab / Math.sqrt(aa * bb), norm: Math.sqrt(aa) };
}
