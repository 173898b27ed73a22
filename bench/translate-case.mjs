// One Marian model, timed in a process of its own: what bench/translate.mjs starts.
//
//     node bench/translate-case.mjs MODEL [--beams 4] [--batch 64] [--source 24] [--new 24] [--runs 3]
//
// A line of JSON: sentences a second, the median of the runs after a first one, and the peak of memory.
import { parseArgs } from "node:util";
import { folderWeights } from "../dist/captioner/folder-weights.js";
import { createNativeEngine } from "../dist/engine/native.js";
import { MarianTranslator } from "../dist/translation/marian-translator.js";
import { openMarianFolder } from "../dist/weights/marian-folder.js";
import { randomSentences } from "./random-marian.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    beams: { type: "string", default: "4" },
    batch: { type: "string", default: "64" },
    source: { type: "string", default: "24" },
    new: { type: "string", default: "24" },
    runs: { type: "string", default: "3" },
  },
});
const [beams, batch, source, more, runs] = ["beams", "batch", "source", "new", "runs"].map((name) =>
  Number(values[name]),
);
const engine = await createNativeEngine();
const folder = await openMarianFolder(positionals[0]);
const translator = new MarianTranslator(engine, await folderWeights(folder), 2);
const sentences = randomSentences(batch, source);
// With the start token, as Hugging Face's min_new_tokens and max_new_tokens count without it.
const length = more + 1;
const times = [];
for (let run = 0; run <= runs; run++) {
  const start = performance.now();
  await translator.translate(sentences, { beams, minLength: length, maxLength: length });
  if (run > 0) times.push((performance.now() - start) / 1000);
}
const seconds = times.sort((a, b) => a - b)[times.length >> 1];
const peakMB = Math.round(process.resourceUsage().maxRSS / 1000);
console.log(JSON.stringify({ beams, sentencesPerSecond: Number((batch / seconds).toFixed(1)), peakMB }));
await translator.close();
await engine.close();
