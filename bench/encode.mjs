// Pictures encoded at the original's size, in bf16 against float32 and against Hugging Face in bf16.
//
//     npm run build && LINGOLENS_PEER_PYTHON=python node bench/encode.mjs [--model DIR] [--threads 2] [--rounds 5] [--processor]
//         [--json]
//
// 64 pictures through the vision transformer, the projection, and the keys and values of the decoder's cross-attentions,
// some at a time; each system has the number at a time that is best for it. They take turns, in every round; figures are
// medians, and ratios medians of the rounds' ratios (bars: at least 2.5 × float32, at least 1.0 × Hugging Face). DIR is a
// model folder, such as `lingolens init --size original --out DIR` makes; without it there is one for the time of the run.
// Without the variable there is no peer (it needs torch and transformers 5). --processor counts seconds of the processor, with
// --threads 1: they tell something on a machine that has other work, too.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { folderWeights } from "../dist/captioner/folder-weights.js";
import { ModelPrograms } from "../dist/captioner/model-programs.js";
import { createBf16Engine } from "../dist/engine/bf16/bf16-engine.js";
import { createNativeEngine } from "../dist/engine/native.js";
import { openModelFolder } from "../dist/weights/model-folder.js";
import { writeRandomModel } from "./random-model.mjs";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
    processor: { type: "boolean" },
    json: { type: "boolean" },
  },
});
const [threads, rounds] = [Number(values.threads), Number(values.rounds)];
const { LINGOLENS_PEER_PYTHON: python } = process.env;
const PICTURES = 64;
const BATCHES = [4, 8, 16, 32, 64];

/** Encodes so many pictures, so many at a time, and gives the seconds. */
async function ours(folder, dtype) {
  const engine = await (dtype === "bf16" ? createBf16Engine() : createNativeEngine());
  const programs = new ModelPrograms(engine, await folderWeights(folder), { threads, dtype });
  const encode = await programs.get("encode");
  let [into, sizeOfInto] = [{}, 0];
  return {
    async time(pictures, batch) {
      const data = Float32Array.from({ length: batch * 3 * 224 * 224 }, () => 2 * Math.random() - 1);
      const pixelValues = { dtype: "float32", shape: [batch, 3, 224, 224], data };
      // Memory is kept from batch to batch, as a captioner does.
      if (sizeOfInto !== batch) {
        const fresh = Object.entries(await encode.run({ pixelValues }));
        into = Object.fromEntries(fresh.map(([name, one]) => [name, one.data]));
        sizeOfInto = batch;
      }
      const [start, used] = [performance.now(), process.cpuUsage()];
      for (let done = 0; done < pictures; done += batch) await encode.run({ pixelValues }, into);
      const { user, system } = process.cpuUsage(used);
      return values.processor ? (user + system) / 1e6 : (performance.now() - start) / 1000;
    },
    async close() {
      await programs.close();
      await engine.close();
    },
  };
}

function theirs(dtype) {
  const script = fileURLToPath(new URL("peers/encode.py", import.meta.url));
  const child = spawn(python, [script, dtype, String(threads)], { stdio: ["pipe", "pipe", "inherit"] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async time(pictures, batch) {
      child.stdin.write(`${pictures} ${batch}\n`);
      const { value, done } = await answers.next();
      if (done) throw new Error("The peer has ended.");
      return Number(value.split(" ")[values.processor ? 1 : 0]);
    },
    close: async () => child.stdin.end(),
  };
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];

const work = values.model === undefined && (await mkdtemp(join(tmpdir(), "lingolens-bench-")));
const systems = {};
try {
  if (work) await writeRandomModel(join(work, "model"));
  const folder = await openModelFolder(values.model ?? join(work, "model"));
  systems.float32 = await ours(folder, "fp32");
  systems.bf16 = await ours(folder, "bf16");
  if (python) systems["Hugging Face bf16"] = theirs("bfloat16");

  const best = {};
  for (const [name, system] of Object.entries(systems)) {
    const times = [];
    for (const batch of BATCHES) {
      await system.time(batch, batch); // The first of a size makes things ready.
      times.push({
        batch,
        seconds: Math.min(await system.time(PICTURES, batch), await system.time(PICTURES, batch)),
      });
    }
    best[name] = times.sort((a, b) => a.seconds - b.seconds)[0].batch;
  }
  const seconds = Object.fromEntries(Object.keys(systems).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const [name, system] of Object.entries(systems))
      seconds[name].push(await system.time(PICTURES, best[name]));

  const perSecond = Object.fromEntries(
    Object.entries(seconds).map(([name, list]) => [name, PICTURES / median(list)]),
  );
  const ratios = Object.fromEntries(
    Object.entries(seconds)
      .filter(([name]) => name !== "bf16")
      .map(([name, list]) => [name, median(list.map((one, round) => one / seconds.bf16[round]))]),
  );
  const results = {
    machine: `${cpus()[0].model}, ${availableParallelism()} processors`,
    threads,
    best,
    perSecond,
    ratios,
  };
  if (values.json) console.log(JSON.stringify(results));
  else {
    for (const [name, speed] of Object.entries(perSecond))
      console.log(`${name.padEnd(20)} ${speed.toFixed(1)} pictures/s, ${best[name]} at a time`);
    for (const [name, ratio] of Object.entries(ratios)) console.log(`bf16 is ${ratio.toFixed(2)} × ${name}`);
  }
} finally {
  await Promise.all(Object.values(systems).map((system) => system.close()));
  if (work) await rm(work, { recursive: true });
}
