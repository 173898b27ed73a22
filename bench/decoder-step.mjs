// A step of the decoder against its matrix products alone, in one run: how much time goes elsewhere.
//
//     npm run build && node bench/decoder-step.mjs MODEL [--searches 4] [--beams 4] [--runs 15] [--dtype bf16]
//
// MODEL is a model folder, such as those that bench/caption.mjs --work DIR leaves behind. The products are those of the
// same program, attention's among them, with inputs of the same shapes.
import { parseArgs } from "node:util";
import { folderWeights } from "../dist/captioner/folder-weights.js";
import { createBf16Engine } from "../dist/engine/bf16/bf16-engine.js";
import { compileProgram } from "../dist/engine/compile.js";
import { createNativeEngine } from "../dist/engine/native.js";
import { input, slice } from "../dist/graph/index.js";
import { apply, inputOp, topologicalOrder } from "../dist/graph/tensor.js";
import { decodeOutputs } from "../dist/model/captioner.js";
import { openModelFolder } from "../dist/weights/model-folder.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    searches: { type: "string", default: "4" },
    beams: { type: "string", default: "4" },
    runs: { type: "string", default: "15" },
    dtype: { type: "string", default: "fp32" },
    threads: { type: "string", default: "2" },
  },
});
const [searches, beams, runs] = [values.searches, values.beams, values.runs].map(Number);
/** Of the keys and values so far, after fifteen steps or so. */
const SLOTS = 64;

const engine = await (values.dtype === "bf16" ? createBf16Engine() : createNativeEngine());
const weights = await folderWeights(await openModelFolder(positionals[0]));
const { decoder, vision } = weights.config;
const outputs = decodeOutputs(weights.config, weights.int8);

const PRODUCTS = ["gemm", "matMul", "int8Product"];

/** The products of a program, each fed by itself. */
function productsOf(program) {
  const order = topologicalOrder(Object.values(program));
  const fed = new Set(order.filter((node) => node.op === inputOp));
  for (const node of order) if (node.inputs.some((x) => fed.has(x.node))) fed.add(node);
  const stand = new Map();
  const standIn = (x) => {
    if (!fed.has(x.node)) return x;
    if (!stand.has(x)) stand.set(x, input(`x${stand.size}`, x.dtype, x.shape.map(sizeOf)));
    return stand.get(x);
  };
  const products = order.filter((node) => PRODUCTS.includes(node.op.name));
  // A corner of each result is enough to have it computed.
  return Object.fromEntries(
    products.map((node, i) => {
      const [y] = apply(node.op, node.inputs.map(standIn), node.attributes);
      return [`y${i}`, slice(y, -1, 0, 1)];
    }),
  );
}

const sizes = {
  pictures: 1,
  searches,
  length: beams,
  slots: SLOTS,
  hypotheses: searches * beams,
  edits: 0,
  k: 8,
};
sizes["pictures*searches"] = searches;

/** Random values for every input of a program, by the shapes that it declares. */
async function timed(program) {
  const compiled = await compileProgram(
    engine,
    { outputs: program },
    { ...weightsOf(), threads: Number(values.threads) },
  );
  const feeds = {};
  for (const node of topologicalOrder(Object.values(program))) {
    if (node.op !== inputOp) continue;
    const { name, dtype, shape } = node.attributes;
    const concrete = shape.map(sizeOf);
    const count = concrete.reduce((a, b) => a * b, 1);
    const data =
      dtype === "int64" ? new BigInt64Array(count) : Float32Array.from({ length: count }, Math.random);
    feeds[name] = { dtype, shape: concrete, data };
  }
  const first = await compiled.run(feeds);
  const into = Object.fromEntries(Object.entries(first).map(([name, { data }]) => [name, data]));
  const times = [];
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    await compiled.run(feeds, into);
    times.push(performance.now() - start);
  }
  await compiled.close();
  return times.sort((a, b) => a - b)[Math.floor(runs / 2)];
}

function weightsOf() {
  const { locations, externalData, read } = weights;
  if (values.dtype === "bf16") return { dtype: values.dtype, constants: read };
  return { weights: locations, externalData };
}

/** Dimensions are numbers, names, or products and sums of them. */
function sizeOf(dimension) {
  if (typeof dimension === "number") return dimension;
  return dimension
    .split("+")
    .map((term) =>
      term
        .split("*")
        .map((factor) => (factor in sizes ? sizes[factor] : Number(factor)))
        .reduce((a, b) => a * b, 1),
    )
    .reduce((a, b) => a + b, 0);
}

const products = await timed(productsOf(outputs));
const step = await timed(outputs);
console.log(
  `${searches} × ${beams} rows, ${decoder.layers} layers, ${vision.layers} of the picture's: step ${step.toFixed(1)} ms, ` +
    `its products alone ${products.toFixed(1)} ms: ratio ${(step / products).toFixed(2)}`,
);
await engine.close();
