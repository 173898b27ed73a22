// AdamW over as many numbers as the original has parameters, with clipping and copies in bf16, against PyTorch's fused one.
//
//     npm run build && LINGOLENS_PEER_PYTHON=python node bench/adamw.mjs [--threads 2] [--steps 9] [--json]
//
// Prints medians of the gradient's norm, of the update, and of the update that writes copies in bf16 as well; of the peer's
// clip_grad_norm_ and fused AdamW, which has no copies to write; and the ratios of the updates, and of norm and update
// together (bar: at most 1.5). Two of ours are timed before the peer and two after it. Without the variable there is no peer.
// It needs 10 GB of memory.
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";
import { originalConfig } from "../dist/model/original.js";
import { adamWStep, globalNorm } from "../dist/training/adamw.js";
import { allocateTraining } from "../dist/training/parameters.js";
import { SharedLoops } from "../dist/training/shared-loops.js";
import { parameterShapes } from "../dist/weights/parameter-shapes.js";

const { values } = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    steps: { type: "string", default: "9" },
    rounded: { type: "string" },
    json: { type: "boolean" },
  },
});
const [threads, steps] = [Number(values.threads), Number(values.steps)];

// A process of its own, which gives its memory back when it ends.
if (values.rounded) {
  console.log(JSON.stringify(await timeOurs(values.rounded === "true")));
  process.exit(0);
}
const { LINGOLENS_PEER_PYTHON: python } = process.env;
const runs = [false, true].map((rounded) => [ours(rounded)]);
const theirs = python && peer();
for (const rounded of [true, false]) runs[Number(rounded)].push(ours(rounded));
const [plain, copied] = runs.map(joined);
const results = { threads, plain, copied, ...(theirs && { peer: joined([theirs]) }) };
if (values.json) console.log(JSON.stringify(results));
else {
  console.log(
    `norm ${plain.norm.toFixed(3)} s, AdamW ${plain.update.toFixed(3)} s, with copies ${copied.update.toFixed(3)} s`,
  );
  if (theirs) {
    const { norm, update } = results.peer;
    console.log(`PyTorch: clipping ${norm.toFixed(3)} s, fused AdamW ${update.toFixed(3)} s`);
    const ratio = (name, own, their) => console.log(`${name.padEnd(44)} ${(own / their).toFixed(2)}`);
    ratio("AdamW / PyTorch's", plain.update, update);
    ratio("AdamW with copies / PyTorch's", copied.update, update);
    ratio("clipping, AdamW, copies / PyTorch's without", copied.norm + copied.update, update);
    ratio("clipping, AdamW, copies / PyTorch's clipped", copied.norm + copied.update, norm + update);
  }
}

/** Seconds of each step, of a fresh process. */
function ours(rounded) {
  const args = [
    process.argv[1],
    "--rounded",
    String(rounded),
    "--threads",
    values.threads,
    "--steps",
    values.steps,
  ];
  return JSON.parse(run(process.execPath, args));
}

async function timeOurs(rounded) {
  const shapes = parameterShapes(originalConfig);
  const memory = allocateTraining(shapes, shapes, undefined, rounded);
  for (const [i, stretch] of memory.gradients.stretches.entries()) {
    for (let j = 0; j < stretch.length; j++) stretch[j] = ((j % 1009) - 504) * 1e-5;
    memory.parameters.stretches[i].set(stretch);
  }
  const loops = new SharedLoops(threads);
  const [norms, updates] = [[], []];
  const options = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.01 };
  for (let step = 1; step <= steps; step++) {
    const start = performance.now();
    const norm = await globalNorm(loops, memory.gradients);
    const middle = performance.now();
    await adamWStep(loops, memory, step, options, 1e-4, Math.min(1, 1 / norm));
    norms.push((middle - start) / 1000);
    updates.push((performance.now() - middle) / 1000);
  }
  await loops.close();
  return { norm: norms.slice(1), update: updates.slice(1) };
}

function peer() {
  const script = `
import json, time, torch
torch.set_num_threads(${threads})
count = ${[...parameterShapes(originalConfig).values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0)}
parameter = torch.nn.Parameter(torch.randn(count) * 0.02)
parameter.grad = torch.randn(count) * 0.01
optimizer = torch.optim.AdamW([parameter], lr=1e-4, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
norms, updates = [], []
for _ in range(${steps}):
    start = time.perf_counter()
    torch.nn.utils.clip_grad_norm_([parameter], 1.0)
    middle = time.perf_counter()
    optimizer.step()
    norms.append(middle - start)
    updates.append(time.perf_counter() - middle)
print(json.dumps({"norm": norms[1:], "update": updates[1:]}))`;
  return JSON.parse(run(python, ["-c", script]));
}

function run(command, args) {
  const { stdout, status } = spawnSync(command, args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`${command} ended with ${status}.`);
  return stdout;
}

/** The medians over several runs. */
function joined(runs) {
  const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];
  return {
    norm: median(runs.flatMap(({ norm }) => norm)),
    update: median(runs.flatMap(({ update }) => update)),
  };
}
