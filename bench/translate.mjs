// Translation at the size of Helsinki-NLP's opus-mt models against Hugging Face's MarianMTModel, in one run.
//
//     npm run build && node bench/translate.mjs [--work DIR] [--runs 3] [--json FILE]
//
// 64 sentences of 24 tokens, beam 4, 24 new tokens, two threads; random weights, which have the speed of real ones. The
// peer runs where it is found:
//   LINGOLENS_PEER_PYTHON  a Python with torch and transformers 5
//   LINGOLENS_SHARED       the folder with peers/hf_translate.py
// The models (0.4 GB) are made in --work, a temporary folder unless named, and found there by the next run.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { createNativeEngine } from "../dist/engine/native.js";
import { quantizeMarian } from "../dist/translation/quantize-marian.js";
import { writeFolderAtomically } from "../dist/weights/atomic-file.js";
import { openMarianFolder } from "../dist/weights/marian-folder.js";
import { randomSentences, writeRandomMarian } from "./random-marian.mjs";

const { values } = parseArgs({
  options: {
    work: { type: "string" },
    runs: { type: "string", default: "3" },
    json: { type: "string" },
  },
});
const { LINGOLENS_PEER_PYTHON: python, LINGOLENS_SHARED: shared } = process.env;
const work = values.work ?? (await mkdtemp(join(tmpdir(), "lingolens-bench-")));
const exec = promisify(execFile);

/** What a program prints as lines of JSON; nothing else of ours runs meanwhile. */
async function run(file, args) {
  const { stdout } = await exec(file, args, { maxBuffer: 1 << 24 });
  return stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
}

const results = { machine: `${cpus()[0].model}, ${availableParallelism()} processors`, lingolens: {} };
try {
  await mkdir(work, { recursive: true });
  const paths = { fp32: join(work, "marian-fp32"), int8: join(work, "marian-int8") };
  if (!existsSync(paths.fp32)) await writeFolderAtomically(paths.fp32, writeRandomMarian);
  if (!existsSync(paths.int8)) {
    const engine = await createNativeEngine();
    const folder = await openMarianFolder(paths.fp32);
    await writeFolderAtomically(paths.int8, (aside) =>
      quantizeMarian(engine, folder, randomSentences(16, 24), aside),
    );
    await engine.close();
  }
  const own = fileURLToPath(new URL("translate-case.mjs", import.meta.url));
  for (const [name, path] of Object.entries(paths)) {
    const args = [own, path, "--runs", values.runs];
    [results.lingolens[name]] = await run(process.execPath, args);
  }
  const peer = shared && join(shared, "peers", "hf_translate.py");
  if (python && peer && existsSync(peer)) results.huggingface = await run(python, [peer]);
} finally {
  if (!values.work) await rm(work, { recursive: true, force: true });
}
if (values.json) await writeFile(values.json, `${JSON.stringify(results, null, 2)}\n`);

const { machine, lingolens, huggingface = [] } = results;
console.log(`${machine}; 64 sentences of 24 tokens, beam 4, 24 new tokens, 2 threads\n`);
const peerOf = (dtype) =>
  huggingface.find((line) => line.beams === 4 && line.dtype === dtype)?.sentences_per_s;
const [fp32, bf16] = [peerOf("float32"), peerOf("bfloat16")];
console.table(
  [
    ...(fp32
      ? [
          ["Hugging Face fp32", fp32],
          ["Hugging Face bf16", bf16],
        ]
      : []),
    ...Object.entries(lingolens).map(([name, { sentencesPerSecond, peakMB }]) => [
      `lingolens ${name}`,
      sentencesPerSecond,
      peakMB,
    ]),
  ].map(([name, speed, peakMB]) => ({
    "": name,
    "sentences/s": speed,
    "× HF fp32": fp32 ? Number((speed / fp32).toFixed(2)) : "–",
    "peak memory, MB": peakMB ?? "–",
  })),
);
