// A training step of the original's size: 546 million parameters, 8 pictures with a caption of 32 tokens, float32.
//
//     npm run build && LINGOLENS_SHARED=DIR LINGOLENS_PEER_PYTHON=python node bench/train.mjs [--only NAME]…
//         [--batch 8] [--length 32] [--json]
//
// Prints the step's time against PyTorch's (peers/hf_train.py in the folder of fixtures, in the same run), in float32 and
// in bf16 autocast, both with fused AdamW; the largest memory of both; how much of forward and backward's time the engine
// would need for their matrix products alone; the step's time with a frozen encoder, and with cross-attention and
// projection trained alone; and the step and its products in bf16, where oneDNN and the processor have it. Without the two
// variables there is no peer. --only, which may be repeated: full, encoder, cross, products, bf16, bf16-products, peer.
// It needs 12 GB of memory and takes some minutes.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createBf16Engine } from "../dist/engine/bf16/bf16-engine.js";
import { compileProgram } from "../dist/engine/compile.js";
import { createNativeEngine } from "../dist/engine/native.js";
import { gemm, input, matMul, turnedOver } from "../dist/graph/index.js";
import { originalConfig } from "../dist/model/original.js";

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    batch: { type: "string", default: "8" },
    length: { type: "string", default: "32" },
    json: { type: "boolean" },
  },
});
const [batchSize, length] = [Number(values.batch), Number(values.length)];
const wanted = (name) => !values.only || values.only.includes(name);
const { LINGOLENS_SHARED: shared, LINGOLENS_PEER_PYTHON: python } = process.env;

const VARIANTS = {
  full: [],
  bf16: ["--dtype", "bf16"],
  encoder: ["model.encoder.*"],
  cross: ["*", "!model.visual_projection.*", "!*.encoder_attn.*"],
};

/** Runs a program and parses the lines of JSON that it prints. */
function lines(command, args) {
  const { stdout, status } = spawnSync(command, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}.`);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const results = {};
const bf16Engine = await createBf16Engine().catch(({ message }) => console.error(message));
if (!bf16Engine) delete VARIANTS.bf16;
for (const [name, args] of Object.entries(VARIANTS).filter(([name]) => wanted(name))) {
  const script = fileURLToPath(new URL("train-step.mjs", import.meta.url));
  const [step] = lines(process.execPath, [
    script,
    "--batch",
    values.batch,
    "--length",
    values.length,
    ...args,
  ]);
  results[name] = { ...step, total: step.gradient + step.norm + step.update };
}
if (wanted("products")) results.products = await timeProducts(await createNativeEngine(), "fp32");
if (bf16Engine && wanted("bf16-products")) results.bf16Products = await timeProducts(bf16Engine, "bf16");
await bf16Engine?.close();
if (wanted("peer") && shared && python)
  for (const { dtype, forward_s, backward_s, update_s, peak_gb } of lines(python, [
    join(shared, "peers", "hf_train.py"),
    values.batch,
    values.length,
  ]))
    results[dtype] = {
      gradient: forward_s + backward_s,
      update: update_s,
      total: forward_s + backward_s + update_s,
      peakGigabytes: peak_gb,
    };

if (values.json) console.log(JSON.stringify(results));
else report(results);

/** Seconds that the products of forward and backward take by themselves. */
async function timeProducts(engine, dtype) {
  const { vision, decoder } = originalConfig;
  const [positions, tokens] = [batchSize * 50, batchSize * length];
  const block = 8192;
  // [rows, inputs, outputs, how many]; three products each: forward, gradient of the input, gradient of the weight.
  const layers = [
    [positions, vision.hiddenSize, vision.hiddenSize, 4 * vision.layers],
    [positions, vision.hiddenSize, vision.intermediateSize, vision.layers],
    [positions, vision.intermediateSize, vision.hiddenSize, vision.layers],
    [positions, vision.hiddenSize, decoder.hiddenSize, 1],
    [tokens, decoder.hiddenSize, decoder.hiddenSize, 6 * decoder.layers],
    [positions, decoder.hiddenSize, decoder.hiddenSize, 2 * decoder.layers],
    [tokens, decoder.hiddenSize, decoder.ffnDim, decoder.layers],
    [tokens, decoder.ffnDim, decoder.hiddenSize, decoder.layers],
    [tokens, decoder.hiddenSize, block, decoder.vocabularySize / block],
  ];
  const matrix = (name, shape) => input(name, "float32", shape);
  let [seconds, operations] = [0, 0];
  for (const [rows, inputs, outputs, count] of layers) {
    const [x, w, dy] = [
      matrix("x", [rows, inputs]),
      matrix("w", [outputs, inputs]),
      matrix("dy", [rows, outputs]),
    ];
    for (const product of [
      gemm(x, w, undefined, { transposeB: true }),
      matMul(dy, w),
      matMul(turnedOver(dy), x),
    ]) {
      seconds += (count * (await medianTime(engine, product, { rows, inputs, outputs }, dtype))) / 1000;
      operations += 2 * count * rows * inputs * outputs;
    }
  }
  await engine.close();
  return { seconds, gigaflops: operations / seconds / 1e9 };
}

async function medianTime(engine, product, { rows, inputs, outputs }, dtype) {
  const filled = (shape) => ({
    dtype: "float32",
    shape,
    data: Float32Array.from({ length: shape[0] * shape[1] }, () => Math.random() - 0.5),
    ...(dtype === "bf16" && { rounded: new Uint16Array(shape[0] * shape[1]).fill(0x3f00) }),
  });
  const feeds = { x: filled([rows, inputs]), w: filled([outputs, inputs]), dy: filled([rows, outputs]) };
  const program = await compileProgram(engine, { outputs: { product } }, { threads: 2, dtype });
  const into = { product: (await program.run(feeds)).product.data };
  const times = [];
  for (let i = 0; i < 9; i++) {
    const start = performance.now();
    await program.run(feeds, into);
    times.push(performance.now() - start);
  }
  await program.close();
  return times.sort((a, b) => a - b)[4];
}

function report({ full, bf16, encoder, cross, products, bf16Products, float32, bfloat16 }) {
  const row = (name, { gradient, norm, update, total, peakGigabytes }) =>
    console.log(
      `${name.padEnd(28)} ${total.toFixed(2)} s: forward and backward ${gradient.toFixed(2)}, ` +
        `${norm === undefined ? "" : `norm ${norm.toFixed(2)}, `}AdamW ${update.toFixed(2)}; ` +
        `${peakGigabytes.toFixed(1)} GB`,
    );
  const rows = {
    full,
    "in bf16": bf16,
    "frozen encoder": encoder,
    "cross-attention, projection": cross,
    "PyTorch float32": float32,
    "PyTorch bf16": bfloat16,
  };
  for (const [name, result] of Object.entries(rows)) if (result) row(name, result);
  const bar = (name, value, limit) => console.log(`${name.padEnd(60)} ${value.toFixed(3)} (${limit})`);
  if (full && products) {
    console.log(`products alone: ${products.seconds.toFixed(2)} s, ${products.gigaflops.toFixed(0)} GFLOP/s`);
    bar("matrix-product share of forward and backward", products.seconds / full.gradient, "at least 0.75");
  }
  if (full && float32) {
    bar("step / PyTorch float32", full.total / float32.total, "at most 0.90");
    bar("step / PyTorch bf16", full.total / bfloat16.total, "at most 1.45");
    bar("largest memory / PyTorch", full.peakGigabytes / float32.peakGigabytes, "at most 1");
  }
  if (bf16 && bf16Products) {
    console.log(
      `products alone in bf16: ${bf16Products.seconds.toFixed(2)} s, ${bf16Products.gigaflops.toFixed(0)} GFLOP/s`,
    );
    bar("share of their speed in bf16", bf16Products.seconds / bf16.gradient, "at least 0.5");
  }
  if (bf16 && bfloat16) {
    bar("step in bf16 / PyTorch bf16", bf16.total / bfloat16.total, "at most 0.75");
    bar("step in bf16 / PyTorch float32", bf16.total / float32.total, "at most 0.45");
    bar("largest memory in bf16 / PyTorch", bf16.peakGigabytes / bfloat16.peakGigabytes, "at most 1");
  }
  if (full && encoder)
    bar("step with frozen encoder / full step", encoder.total / full.total, "at most 0.85");
  if (full && cross)
    bar("step of cross-attention and projection / full step", cross.total / full.total, "at most 0.6");
}
