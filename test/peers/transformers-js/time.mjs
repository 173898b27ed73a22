/**
 * Times transformers.js on an exported folder: node time.mjs FOLDER NEW_TOKENS RUNS. A line of JSON for one language and
 * one for four, a call each, since a call takes one language.
 */
import { basename, dirname } from "node:path";
import { AutoModelForVision2Seq, env, Tensor } from "@huggingface/transformers";

const [folder, newTokens, runs] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = dirname(folder);
const model = await AutoModelForVision2Seq.from_pretrained(basename(folder), {
  session_options: { intraOpNumThreads: 2 },
});
const side = model.config.encoder?.image_size ?? 224;
const pixels = Float32Array.from({ length: 3 * side * side }, () => Math.random() * 2 - 1);
const inputs = new Tensor("float32", pixels, [1, 3, side, side]);
// The start token and the language come first.
const length = Number(newTokens) + 2;

async function time(languages) {
  const start = performance.now();
  for (const forced_bos_token_id of languages)
    await model.generate({ inputs, forced_bos_token_id, min_length: length, max_length: length });
  return performance.now() - start;
}

for (const languages of [[4], [4, 5, 6, 7]]) {
  await time(languages.slice(0, 1));
  const times = [];
  for (let run = 0; run < Number(runs); run++) times.push(await time(languages));
  const ms = times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
  console.log(
    JSON.stringify({ peer: "transformers.js", languages: languages.length, ms: Number(ms.toFixed(1)) }),
  );
}
process.exit(0);
