// AdamW over as many numbers as the original has parameters, against PyTorch's fused one.
//
//     npm run build && LINGOLENS_PEER_PYTHON=python node bench/adamw.mjs [--threads 2] [--json]
//
// Prints the median of seven steps of each, and their ratio (bar: at most 2.5), and that of the gradient's norm, which
// the peer does not compute. Without the variable there is no peer. It needs 9 GB of memory.
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";
import { originalConfig } from "../dist/model/original.js";
import { adamWStep, globalNorm } from "../dist/training/adamw.js";
import { allocateTraining } from "../dist/training/parameters.js";
import { SharedLoops } from "../dist/training/shared-loops.js";
import { parameterShapes } from "../dist/weights/parameter-shapes.js";

const { values } = parseArgs({
  options: { threads: { type: "string", default: "2" }, json: { type: "boolean" } },
});
const threads = Number(values.threads);
const shapes = parameterShapes(originalConfig);
const count = [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);

const result = { parameters: count, ...(await ours()), ...peer() };
if (values.json) console.log(JSON.stringify(result));
else {
  console.log(`AdamW ${result.update.toFixed(3)} s, norm ${result.norm.toFixed(3)} s`);
  if (result.peer)
    console.log(
      `PyTorch's fused AdamW ${result.peer.toFixed(3)} s; ratio ${(result.update / result.peer).toFixed(2)}`,
    );
}

async function ours() {
  const memory = allocateTraining(shapes, shapes);
  for (const [i, stretch] of memory.gradients.stretches.entries()) {
    for (let j = 0; j < stretch.length; j++) stretch[j] = ((j % 1009) - 504) * 1e-5;
    memory.parameters.stretches[i].set(stretch);
  }
  const loops = new SharedLoops(threads);
  const [norms, updates] = [[], []];
  for (let step = 1; step <= 8; step++) {
    const start = performance.now();
    await globalNorm(loops, memory.gradients);
    const middle = performance.now();
    await adamWStep(loops, memory, step, { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.01 }, 1e-4);
    norms.push(middle - start);
    updates.push(performance.now() - middle);
  }
  await loops.close();
  return { norm: median(norms.slice(1)), update: median(updates.slice(1)) };
}

function peer() {
  const python = process.env.LINGOLENS_PEER_PYTHON;
  if (!python) return {};
  const script = `
import time, torch
torch.set_num_threads(${threads})
parameter = torch.nn.Parameter(torch.randn(${count}) * 0.02)
parameter.grad = torch.randn(${count}) * 0.01
optimizer = torch.optim.AdamW([parameter], lr=1e-4, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
for _ in range(8):
    start = time.perf_counter()
    optimizer.step()
    print(1000 * (time.perf_counter() - start))`;
  const { stdout, status } = spawnSync(python, ["-c", script], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`The peer ended with ${status}.`);
  return { peer: median(stdout.trim().split("\n").slice(1).map(Number)) };
}

/** Of milliseconds, in seconds. */
function median(times) {
  return times.sort((a, b) => a - b)[times.length >> 1] / 1000;
}
