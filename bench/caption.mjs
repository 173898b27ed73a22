// Captions at the original's size against what one would use instead, in one run: time, start and memory.
//
//     npm run build && node bench/caption.mjs [--work DIR] [--tokens 20] [--runs 3] [--json FILE]
//
// Random weights, which have the speed of real ones: fp32, int8, and int8 with a vocabulary of 65,536. Two threads.
// The peers run where they are found:
//   LINGOLENS_PEER_PYTHON  a Python with torch and transformers 5: Hugging Face's generate
//   LINGOLENS_SHARED       the folder with peers/hf_generate.py
//   test/peers/transformers-js/node_modules   transformers.js on our own ONNX export, greedy, as it has no beam search
//                          (npm install --prefix test/peers/transformers-js)
// The models (4 GB) are made in --work, a temporary folder unless named, and found there by the next run.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { createNativeEngine } from "../dist/engine/native.js";
import { exportOnnx } from "../dist/exports/onnx.js";
import { quantizeModel } from "../dist/quantization/quantize-model.js";
import { writeFolderAtomically } from "../dist/weights/atomic-file.js";
import { openModelFolder } from "../dist/weights/model-folder.js";
import { writeRandomModel } from "./random-model.mjs";

const { values } = parseArgs({
  options: {
    work: { type: "string" },
    tokens: { type: "string", default: "20" },
    runs: { type: "string", default: "3" },
    json: { type: "string" },
  },
});
const { LINGOLENS_PEER_PYTHON: python, LINGOLENS_SHARED: shared } = process.env;
const work = values.work ?? (await mkdtemp(join(tmpdir(), "lingolens-bench-")));
const transformersJs = fileURLToPath(new URL("../test/peers/transformers-js", import.meta.url));
const hasTransformersJs = existsSync(join(transformersJs, "node_modules", "@huggingface", "transformers"));
const exec = promisify(execFile);
const lines = (text) =>
  text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));

/** What a program prints as lines of JSON; nothing else of ours runs meanwhile. */
async function run(file, args) {
  const { stdout } = await exec(file, args, { maxBuffer: 1 << 24 });
  return lines(stdout);
}

async function makeModels() {
  const paths = { fp32: join(work, "fp32"), int8: join(work, "int8"), "int8 64K": join(work, "int8-64k") };
  const small = join(work, "fp32-64k");
  await mkdir(work, { recursive: true });
  const engine = await createNativeEngine();
  const quantized = async (from, to) => {
    if (existsSync(to)) return;
    await writeFolderAtomically(to, async (aside) =>
      quantizeModel(engine, await openModelFolder(from), aside),
    );
  };
  if (!existsSync(paths.fp32)) await writeRandomModel(paths.fp32);
  await quantized(paths.fp32, paths.int8);
  if (!existsSync(small)) await writeRandomModel(small, { vocabularySize: 65_536 });
  await quantized(small, paths["int8 64K"]);
  const onnx = join(work, "onnx");
  if (hasTransformersJs && !existsSync(onnx))
    await writeFolderAtomically(onnx, async (aside) => exportOnnx(await openModelFolder(paths.fp32), aside));
  await engine.close();
  return paths;
}

const GRID = [1, 4].flatMap((languages) => [1, 4].map((beams) => ({ languages, beams })));
const MANY = [1, 4, 16].map((batchSize) => ({ languages: 4, beams: 4, pictures: 64, batchSize }));
const CASES = { fp32: GRID, int8: [...GRID, ...MANY], "int8 64K": GRID };

const results = {
  machine: `${cpus()[0].model}, ${availableParallelism()} processors`,
  tokens: values.tokens,
};
try {
  const models = await makeModels();
  const own = fileURLToPath(new URL("caption-case.mjs", import.meta.url));
  results.lingolens = {};
  for (const [name, path] of Object.entries(models)) {
    const args = [own, path, JSON.stringify(CASES[name]), "--tokens", values.tokens, "--runs", values.runs];
    results.lingolens[name] = await run(process.execPath, args);
    console.error(`${name} done`);
  }
  if (hasTransformersJs) {
    const args = [join(transformersJs, "time.mjs"), join(work, "onnx"), values.tokens, values.runs];
    results.transformersJs = await run(process.execPath, args);
  }
  const peer = shared && join(shared, "peers", "hf_generate.py");
  if (python && peer && existsSync(peer))
    results.huggingface = await run(python, [peer, values.tokens, values.runs]);
} finally {
  if (!values.work) await rm(work, { recursive: true, force: true });
}
if (values.json) await writeFile(values.json, `${JSON.stringify(results, null, 2)}\n`);
report(results);

function report({ machine, lingolens, huggingface = [], transformersJs: browserKin = [] }) {
  console.log(
    `${machine}; ${values.tokens} new tokens, 2 threads, median of ${values.runs} runs, milliseconds\n`,
  );
  const ours = (name, wanted) =>
    lingolens[name].find(
      ({ languages, beams, pictures }) =>
        pictures === 1 && languages === wanted.languages && beams === wanted.beams,
    ).ms;
  const theirs = (dtype, wanted) =>
    huggingface.find(
      (line) => line.dtype === dtype && line.languages === wanted.languages && line.beams === wanted.beams,
    )?.ms;
  const rows = GRID.map((wanted) => {
    const fp32 = theirs("float32", wanted);
    const bf16 = theirs("bfloat16", wanted);
    const ratio = (ms, peer) => (peer ? ` (${(ms / peer).toFixed(2)})` : "");
    return {
      "languages × beams": `${wanted.languages} × ${wanted.beams}`,
      "HF fp32": fp32 ?? "–",
      "HF bf16": bf16 ?? "–",
      "ours fp32 (/HF fp32)": `${ours("fp32", wanted)}${ratio(ours("fp32", wanted), fp32)}`,
      "int8 (/HF fp32)": `${ours("int8", wanted)}${ratio(ours("int8", wanted), fp32)}`,
      "int8 (/HF bf16)": `${ours("int8", wanted)}${ratio(ours("int8", wanted), bf16)}`,
      "int8 64K (/HF bf16)": `${ours("int8 64K", wanted)}${ratio(ours("int8 64K", wanted), bf16)}`,
    };
  });
  console.table(rows);
  for (const { languages, ms } of browserKin)
    for (const name of ["fp32", "int8"]) {
      const own = ours(name, { languages, beams: 1 });
      console.log(
        `${languages} language(s), greedy: transformers.js ${ms}, ours ${name} ${own} (${(own / ms).toFixed(2)})`,
      );
    }
  console.table(
    Object.entries(lingolens).map(([model, list]) => ({
      model,
      "start to first caption, ms": list.find(({ startMs }) => startMs !== undefined).startMs,
      "peak memory, MB": list.find(({ peakMB }) => peakMB !== undefined).peakMB,
    })),
  );
  const many = lingolens.int8.filter(({ pictures }) => pictures === 64);
  const perSecond = ({ pictures, ms }) => (pictures / ms) * 1000;
  for (const line of many)
    console.log(
      `64 pictures × 4 languages, int8, ${line.batchSize} at a time: ${perSecond(line).toFixed(2)} pictures/s, ` +
        `${(perSecond(line) / perSecond(many[0])).toFixed(2)} × one at a time`,
    );
}
