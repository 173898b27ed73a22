// All metrics of 10,000 captions in each of four languages; against Python's sacreBLEU and a plain Python CIDEr.
//
//     npm run build && node bench/metrics.mjs [--captions 10000] [--references 1]
//
// The references are Multi30k's captions where LINGOLENS_SHARED has them, else captions of drawn scenes; hypotheses
// and further references are the same with words lost, swapped and repeated. The bar is a minute of one core.
// Times are the processor's, of all threads, so that other programs do not count.
//
// Where LINGOLENS_PEER_PYTHON names a Python that has sacrebleu, it is timed on the same texts, without its start:
// sacreBLEU with 1,000 resamples, chrF and chrF++ (bar: as fast), and CIDEr of the same words in plain Python
// (bench/peers/metrics.py; bar: 5 times as fast).
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { sceneCaption } from "../dist/data/scenes/caption.js";
import { randomStream } from "../dist/data/scenes/random.js";
import { sceneAt } from "../dist/data/scenes/scene.js";
import { sumOf } from "../dist/evaluation/bootstrap.js";
import { scoreCaptions } from "../dist/evaluation/caption-scores.js";
import { captionTokens } from "../dist/evaluation/caption-tokens.js";
import { chrfOf, chrfStatistics } from "../dist/evaluation/chrf.js";
import { cider } from "../dist/evaluation/cider.js";
import { sacreBleuWithInterval } from "../dist/evaluation/sacrebleu.js";

const { values } = parseArgs({
  options: {
    captions: { type: "string", default: "10000" },
    references: { type: "string", default: "1" },
  },
});
const count = Number(values.captions);
const referenceCount = Number(values.references);
const { LINGOLENS_PEER_PYTHON: python, LINGOLENS_SHARED: shared } = process.env;
const languages = ["en", "de", "fr", "es"];

const texts = shared ? multi30k : scenes;
console.log(
  `${count} captions × ${languages.length} languages, ${referenceCount} reference(s) each, of ${texts.name}`,
);
console.log(`${cpus()[0].model}, processor time of all threads`);

const folder = await mkdtemp(join(tmpdir(), "lingolens-bench-"));
try {
  let seconds = 0;
  const ours = {};
  // One language at a time: a collector has no other's captions to look through.
  for (const lang of languages) {
    const corpus = corpusOf(texts(lang), lang);
    const [spent, { sacreBleu, chrf, ...scores }] = await timed(() =>
      scoreCaptions(corpus.hypotheses, corpus.references, { lang }),
    );
    seconds += spent;
    console.log(
      `${lang}: all metrics ${spent.toFixed(2)} s (sacreBLEU ${sacreBleu.score.toFixed(1)}, ` +
        `chrF ${chrf.toFixed(1)}, CIDEr ${scores.cider.toFixed(2)})`,
    );
    if (!python) continue;
    ours[lang] = await comparableMetrics(corpus);
    await writeFile(join(folder, `${lang}.json`), JSON.stringify(corpus));
  }
  console.log(`all languages: ${seconds.toFixed(1)} s (bar: 60 s)`);
  if (python) compareWithPython(ours);
  else console.log("LINGOLENS_PEER_PYTHON is not set: no peers");
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** Seconds and scores of what the peers compute too. */
async function comparableMetrics({ hypotheses, references, hypothesisTokens, referenceTokens }) {
  const segments = hypothesisTokens.map((hypothesis, i) => ({ hypothesis, references: referenceTokens[i] }));
  const [bleuSpent, bleu] = await timed(() => sacreBleuWithInterval(hypotheses, references));
  const [chrfSpent, chrf] = await timed(() => chrfStatistics(hypotheses, references));
  const [ciderSpent, { ciderD }] = await median(() => cider(segments));
  return {
    seconds: { bleu: bleuSpent, chrf: chrfSpent, cider: ciderSpent },
    scores: {
      sacreBleu: bleu.score,
      chrf: chrfOf(sumOf(chrf.chrf)),
      chrfPlusPlus: chrfOf(sumOf(chrf["chrf++"])),
      cider: ciderD.reduce((sum, score) => sum + score) / count,
    },
  };
}

function compareWithPython(ours) {
  const peer = fileURLToPath(new URL("peers/metrics.py", import.meta.url));
  const total = { sacreBleu: [0, 0], cider: [0, 0] };
  for (const [lang, { seconds, scores }] of Object.entries(ours)) {
    const peers = JSON.parse(execFileSync(python, [peer, join(folder, `${lang}.json`)]));
    for (const [name, score] of Object.entries(scores)) {
      const other = peers[name].score;
      if (Math.abs(score - other) > 1e-6)
        throw new Error(`${lang}: ${name} is ${score}, the peer's ${other}`);
    }
    const chrf = peers.chrf.seconds + peers.chrfPlusPlus.seconds;
    console.log(
      `${lang}: BLEU with interval ${seconds.bleu.toFixed(2)} s against ${peers.sacreBleu.seconds.toFixed(2)} s, ` +
        `chrF and chrF++ ${seconds.chrf.toFixed(2)} s against ${chrf.toFixed(2)} s, ` +
        `CIDEr ${seconds.cider.toFixed(2)} s against ${peers.cider.seconds.toFixed(2)} s`,
    );
    total.sacreBleu[0] += seconds.bleu + seconds.chrf;
    total.sacreBleu[1] += peers.sacreBleu.seconds + chrf;
    total.cider[0] += seconds.cider;
    total.cider[1] += peers.cider.seconds;
  }
  report("sacreBLEU (BLEU with interval, chrF, chrF++)", total.sacreBleu, 1);
  report("plain Python CIDEr", total.cider, 5);
}

function report(name, [ours, theirs], bar) {
  console.log(
    `${name}: ${ours.toFixed(1)} s against ${theirs.toFixed(1)} s, ratio ${(theirs / ours).toFixed(1)} (bar: ${bar})`,
  );
}

/** Of three runs, as the peer's. */
async function median(work) {
  const runs = [await timed(work), await timed(work), await timed(work)];
  return runs.sort(([a], [b]) => a - b)[1];
}

async function timed(work) {
  const start = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(start);
  return [(user + system) / 1e6, result];
}

function corpusOf(captions, lang) {
  const references = captions.map((caption, i) =>
    Array.from({ length: referenceCount }, (_, j) =>
      j === 0 ? caption : changed(caption, `${lang} ${i} ${j}`),
    ),
  );
  const hypotheses = captions.map((caption, i) => changed(caption, `${lang} ${i}`));
  return {
    hypotheses,
    references,
    hypothesisTokens: hypotheses.map((text) => captionTokens(text, lang)),
    referenceTokens: references.map((list) => list.map((text) => captionTokens(text, lang))),
  };
}

function changed(caption, key) {
  const random = randomStream(key);
  const words = caption.split(" ").flatMap((word) => {
    const chance = random.between(0, 1);
    if (chance < 0.12) return [];
    return chance < 0.16 ? [word, word] : [word];
  });
  const place = Math.floor(random.between(0, Math.max(0, words.length - 1)));
  return [
    ...words.slice(0, place),
    ...words.slice(place, place + 2).reverse(),
    ...words.slice(place + 2),
  ].join(" ");
}

function scenes(lang) {
  return Array.from({ length: count }, (_, index) => {
    return sceneCaption(sceneAt({ split: "train", seed: 1, index, size: 64 }), lang).text;
  });
}

function multi30k(lang) {
  const folder = join(shared, "fixtures/multilingual");
  const text =
    lang === "es"
      ? readFileSync(join(folder, "multi30k-es-machine/train.es"))
      : gunzipSync(readFileSync(join(folder, `multi30k/raw/train.${lang}.gz`)));
  return text.toString("utf8").split("\n").slice(0, count);
}
