// Memory of `data translate` while it goes through a list of a million captions.
//
//     npm run build && node bench/translate-memory.mjs [--rows 1000000] [--distinct 0.5] [--beams 1] [--opus-mt]
//
// Captions are made up; --distinct is the share of rows whose caption has not been seen before, the others repeat an
// earlier one, near or far. The model is a tiny one with random weights, made here, whose own memory does not hide that
// of the list. With --opus-mt it has the size of Helsinki-NLP's, and a few thousand rows take as long.
//
// Bar: the second half takes no more memory than the first, and with a model of opus-mt's size in int8 at most 1 GB.
import { execFile, spawn } from "node:child_process";
import { createWriteStream, existsSync } from "node:fs";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { createNativeEngine } from "../dist/engine/native.js";
import {
  defaultNormalizer,
  defaultTrainer,
  writeSentencePieceModel,
} from "../dist/text/sentencepiece-model.js";
import { quantizeMarian } from "../dist/translation/quantize-marian.js";
import { writeFolderAtomically } from "../dist/weights/atomic-file.js";
import { openMarianFolder } from "../dist/weights/marian-folder.js";
import { opusMt, randomSentences, writeRandomMarian } from "./random-marian.mjs";

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "1000000" },
    distinct: { type: "string", default: "0.5" },
    beams: { type: "string", default: "1" },
    "opus-mt": { type: "boolean", default: false },
    json: { type: "string" },
  },
});
const rows = Number(values.rows);
const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

const SYLLABLES = [
  "ba",
  "do",
  "fi",
  "ge",
  "ku",
  "lo",
  "mi",
  "na",
  "pe",
  "ra",
  "so",
  "tu",
  "va",
  "we",
  "xi",
  "zo",
];
const WORDS = SYLLABLES.flatMap((first) => SYLLABLES.map((second) => first + second));

/** Uniform below 1. */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 8) / 2 ** 24;
  };
}

/** Six to ten words and a number of its own. */
function caption(number) {
  const random = randomNumbers(number + 1);
  const words = Array.from({ length: 6 + Math.floor(5 * random()) }, () => WORDS[Math.floor(256 * random())]);
  return `${words.join(" ")} ${number}`;
}

function* lines() {
  const random = randomNumbers(1);
  let seen = 0;
  for (let i = 0; i < rows; i++) {
    const repeats = seen > 0 && random() >= Number(values.distinct);
    const number = repeats ? Math.floor(random() * seen) : seen++;
    yield `${JSON.stringify({ image: `${i}.jpg`, captions: { en: caption(number) } })}\n`;
  }
  console.log(`${rows} rows, ${seen} different captions`);
}

/** A model's folder with a tokenizer of the words above; a vocabulary of opus-mt's size has fillers. */
async function writeModel(folder) {
  const texts = ["▁", ...WORDS.map((word) => `▁${word}`), ...WORDS, ..."0123456789"];
  const known = ["</s>", "<unk>", ...texts];
  const size = values["opus-mt"] ? opusMt.vocabularySize : known.length + 1;
  const fillers = Array.from({ length: size - known.length - 1 }, (_, i) => `▁filler${i}`);
  const ids = Object.fromEntries([...known, ...fillers, "<pad>"].map((piece, id) => [piece, id]));
  const [hiddenSize, vocabularySize, pad] = [32, size, size - 1];
  const stack = { layers: 1, heads: 2, ffnDim: 64 };
  const tiny = {
    ...{ ...opusMt, hiddenSize, vocabularySize, encoder: stack, maxPositions: 24 },
    decoder: { ...stack, hiddenSize, vocabularySize },
    ids: { pad, eos: 0, decoderStart: pad },
    bannedSequences: [[pad]],
  };
  await writeRandomMarian(folder, values["opus-mt"] ? opusMt : tiny);
  await writeFile(join(folder, "vocab.json"), JSON.stringify(ids));
  const pieces = [
    ...["<unk>", "<s>", "</s>"].map((text, i) => ({ text, score: 0, type: i === 0 ? "unknown" : "control" })),
    ...texts.map((text) => ({ text, score: -text.length, type: "normal" })),
  ];
  const spm = writeSentencePieceModel({ pieces, trainer: defaultTrainer, normalizer: defaultNormalizer });
  for (const name of ["source.spm", "target.spm"]) await writeFile(join(folder, name), spm);
}

async function roundModel(path, out) {
  const engine = await createNativeEngine();
  const folder = await openMarianFolder(path);
  const length = Math.min(24, folder.config.maxPositions);
  const sentences = randomSentences(16, length).map((ids) => ids.map((id) => id % folder.config.ids.pad));
  await writeFolderAtomically(out, (aside) => quantizeMarian(engine, folder, sentences, aside));
  await engine.close();
}

async function residentMB(pid) {
  const { stdout } = await promisify(execFile)("ps", ["-o", "rss=", "-p", `${pid}`]);
  return Math.round(Number(stdout) / 1000);
}

/** The largest of each tenth of the way. */
function report(samples) {
  const tenths = Array.from({ length: 10 }, (_, tenth) =>
    samples.filter(({ share }) => Math.min(9, Math.floor(share * 10)) === tenth),
  ).filter((part) => part.length > 0);
  const most = (part) => Math.max(...part.map(({ mb }) => mb));
  console.table(
    tenths.map((part) => ({
      "share done": Number(part[0].share.toFixed(2)),
      minutes: Number(part[0].minutes.toFixed(1)),
      "resident memory, MB": most(part),
    })),
  );
  // A short list has one part, and no second half.
  const [first, second] = [(share) => share < 0.5, (share) => share >= 0.5].map((half) => {
    const part = samples.filter(({ share }) => half(share));
    return part.length > 0 ? most(part) : undefined;
  });
  console.log(`first half at most ${first} MB, second half ${second ?? "–"} MB`);
  return { first, second };
}

const work = await mkdtemp(join(tmpdir(), "lingolens-memory-"));
try {
  const input = join(work, "captions.jsonl");
  await pipeline(Readable.from(lines()), createWriteStream(input));
  const models = join(work, "models");
  await writeModel(join(work, "fp32"));
  await roundModel(join(work, "fp32"), join(models, "opus-mt-en-de"));
  const out = join(work, "out", "captions.jsonl");
  const args = ["--input", input, "--to", "de", "--out", out, "--model-dir", models];
  const child = spawn(
    process.execPath,
    [main, "data", "translate", ...args, "--dtype", "int8", "--beams", values.beams, "--json"],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let said = "";
  child.stderr.on("data", (chunk) => {
    said = (said + chunk).slice(-2000);
  });
  let code;
  child.on("exit", (status) => {
    code = status ?? "signal";
  });
  const start = performance.now();
  const parts = Math.ceil((await stat(input)).size / 2 ** 20);
  const samples = [];
  while (code === undefined) {
    const names = existsSync(`${out}.parts`) ? await readdir(`${out}.parts`).catch(() => []) : [];
    const share = names.filter((name) => name.endsWith(".translated.json")).length / parts;
    const mb = await residentMB(child.pid).catch(() => 0);
    const minutes = (performance.now() - start) / 60000;
    if (mb > 0) samples.push({ share, mb, minutes });
    await sleep(500);
  }
  if (code !== 0) throw new Error(`data translate ended with ${code}: ${said}`);
  const found = report(samples);
  if (values.json) await writeFile(values.json, JSON.stringify({ ...found, samples }));
} finally {
  await rm(work, { recursive: true, force: true });
}
