// What rounding to int8 changes in a Marian model that has been trained: its next tokens and its translations.
//
//     npm run build && node bench/translate-trained.mjs --model DIR [--minutes 25] [--sentences 1000] [--json FILE]
//
// The model is a small one, English to French, with the 53,017 tokens of opus-mt-tc-big-fr-en. Where --model is not
// there, it is trained first, by Hugging Face's MarianMTModel, on Multi30k: --minutes of one processor. Needed are
//   LINGOLENS_SHARED       the folder with fixtures/multilingual/multi30k and fixtures/tokenizers/marian
//   LINGOLENS_PEER_PYTHON  a Python with torch and transformers 5, for training
//
// On Multi30k's test_2016_flickr, which training does not see: the share of tokens of the human translations at which
// both choose the same next token; BLEU as sacreBLEU has it; sentences a second, beam 4.
//
// Bar: the same next token at 98 % of them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { folderWeights } from "../dist/captioner/folder-weights.js";
import { createNativeEngine } from "../dist/engine/native.js";
import { sacreBleu } from "../dist/evaluation/sacrebleu.js";
import { loadMarianTokenizer } from "../dist/text/marian-tokenizer.js";
import { batchesByLength } from "../dist/translation/batches.js";
import { MarianTranslator } from "../dist/translation/marian-translator.js";
import { quantizeMarian } from "../dist/translation/quantize-marian.js";
import { SAMPLE_SENTENCES } from "../dist/translation/sample-sentences.js";
import { openMarianFolder } from "../dist/weights/marian-folder.js";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    minutes: { type: "string", default: "25" },
    sentences: { type: "string", default: "1000" },
    json: { type: "string" },
  },
});
const { LINGOLENS_PEER_PYTHON: python, LINGOLENS_SHARED: shared } = process.env;
if (!values.model || !shared)
  throw new Error("--model and LINGOLENS_SHARED are needed; see the file's beginning.");
const multi30k = join(shared, "fixtures/multilingual/multi30k/raw");

/** Sentences translated at a time, and scored at a time: their logits take 5 MB each. */
const [TRANSLATED, SCORED] = [48, 16];
const SHOWN = 5;

async function train() {
  if (!python)
    throw new Error(`${values.model} is not there, and LINGOLENS_PEER_PYTHON is needed to train it.`);
  const script = fileURLToPath(new URL("peers/train_marian.py", import.meta.url));
  const tokenizer = join(shared, "fixtures/tokenizers/marian/opus-mt-tc-big-fr-en");
  const args = [script, multi30k, tokenizer, values.model, values.minutes];
  const [code] = await once(spawn(python, args, { stdio: ["ignore", 2, 2] }), "exit");
  if (code !== 0) throw new Error(`Training ended with ${code}.`);
}

const linesOf = async (language) => {
  const text = gunzipSync(await readFile(join(multi30k, `test_2016_flickr.${language}.gz`))).toString();
  return text.trimEnd().split("\n").slice(0, Number(values.sentences));
};

/** In the order of the sentences, and sentences a second. */
async function translate(translator, sources) {
  const found = [];
  const start = performance.now();
  const lengths = sources.map((ids) => ids.length);
  for (const batch of batchesByLength(lengths, { sentences: TRANSLATED, tokens: Number.POSITIVE_INFINITY })) {
    const results = await translator.translate(
      batch.map((i) => sources[i]),
      { beams: 4 },
    );
    results.forEach(({ tokens }, i) => {
      found[batch[i]] = tokens;
    });
  }
  return { found, speed: sources.length / ((performance.now() - start) / 1000) };
}

/** The likeliest next token at every place of the targets. */
async function likeliest(translator, sources, targets) {
  const program = await translator.programs.get("logits");
  const { pad, decoderStart } = translator.config.ids;
  const best = [];
  for (let first = 0; first < sources.length; first += SCORED) {
    const part = targets.slice(first, first + SCORED);
    const seen = part.map((ids) => [decoderStart, ...ids.slice(0, -1)]);
    const length = Math.max(...part.map((ids) => ids.length));
    const { logits } = await program.run(
      translator.teacherForcedFeeds(sources.slice(first, first + SCORED), seen),
    );
    const width = logits.shape[1];
    part.forEach((ids, row) => {
      for (let i = 0; i < ids.length; i++) {
        const at = (row * length + i) * width;
        let top = 0;
        for (let id = 1; id < width; id++)
          if (id !== pad && logits.data[at + id] > logits.data[at + top]) top = id;
        best.push(top);
      }
    });
  }
  return best;
}

if (!existsSync(join(values.model, "config.json"))) await train();
const work = await mkdtemp(join(tmpdir(), "lingolens-bench-"));
const engine = await createNativeEngine();
try {
  const folder = await openMarianFolder(values.model);
  const tokenizer = await loadMarianTokenizer(values.model);
  const samples = SAMPLE_SENTENCES.map((text) => tokenizer.encode(text));
  const report = await quantizeMarian(engine, folder, samples, work);
  const [english, french] = [await linesOf("en"), await linesOf("fr")];
  const sources = english.map((text) => tokenizer.encode(text));
  const targets = french.map((text) => tokenizer.encode(text, "target"));

  const results = {};
  for (const [dtype, path] of Object.entries({ fp32: values.model, int8: work })) {
    const translator = new MarianTranslator(engine, await folderWeights(await openMarianFolder(path)));
    await translate(translator, sources.slice(0, TRANSLATED));
    const { found, speed } = await translate(translator, sources);
    const texts = found.map((tokens) => tokenizer.decode(tokens));
    const { score, signature } = sacreBleu(
      texts,
      french.map((text) => [text]),
    );
    const next = await likeliest(translator, sources, targets);
    results[dtype] = { texts, speed, bleu: score, signature, next };
    await translator.close();
  }
  const { fp32, int8 } = results;
  const wanted = targets.flat();
  const share = (list, same) => list.filter(same).length / list.length;
  const agreement = share(fp32.next, (id, i) => id === int8.next[i]);
  const equal = share(fp32.texts, (text, i) => text === int8.texts[i]);

  console.log(`${cpus()[0].model}, ${availableParallelism()} processors; ${sources.length} sentences`);
  console.log(`weights in int8: ${report.int8.size} of ${report.int8.size + report.float32.size}\n`);
  console.table(
    Object.entries(results).map(([dtype, { speed, bleu, next }]) => ({
      "": dtype,
      "sentences/s": Number(speed.toFixed(1)),
      BLEU: Number(bleu.toFixed(2)),
      "right next token": Number(share(next, (id, i) => id === wanted[i]).toFixed(4)),
    })),
  );
  console.log(`${fp32.signature}`);
  console.log(`same next token at ${(100 * agreement).toFixed(2)} % of ${wanted.length} (bar 98 %)`);
  console.log(`equal translations: ${(100 * equal).toFixed(1)} %\n`);
  for (let i = 0; i < SHOWN; i++) {
    const place = Math.floor((i * sources.length) / SHOWN);
    console.log(
      `en   ${english[place]}\nfp32 ${fp32.texts[place]}\nint8 ${int8.texts[place]}\nfr   ${french[place]}\n`,
    );
  }
  if (values.json) {
    const figures = ({ speed, bleu }) => ({ sentencesPerSecond: speed, bleu });
    const all = { agreement, equal, fp32: figures(fp32), int8: figures(int8) };
    await writeFile(values.json, JSON.stringify(all));
  }
} finally {
  await engine.close();
  await rm(work, { recursive: true, force: true });
}
