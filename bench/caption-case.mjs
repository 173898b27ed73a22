// One model, timed in a process of its own: what bench/caption.mjs starts.
//
//     node bench/caption-case.mjs MODEL '[{"languages":1,"beams":4}, …]' [--tokens 20] [--runs 3]
//
// A line of JSON for the start (import to first caption, one language, four beams), one for each case, one for the
// peak of memory.
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { tokens: { type: "string", default: "20" }, runs: { type: "string", default: "3" } },
});
const [model, list] = positionals;
const cases = JSON.parse(list);
// Hugging Face's peers generate so many tokens behind the start token and the language.
const length = Number(values.tokens) + 2;
const codes = ["en", "de", "fr", "es"];
const print = (line) => console.log(JSON.stringify(line));

const started = performance.now();
const { loadCaptioner } = await import("../dist/index.js");
const { renderScene } = await import("../dist/data/scenes/render.js");
const { sceneAt } = await import("../dist/data/scenes/scene.js");
const captioner = await loadCaptioner({ model, threads: 2 });
const size = captioner.config.vision.imageSize;
const scene = (index) => renderScene(sceneAt({ split: "test", seed: 1, index, size }));
const options = { minLength: length, maxLength: length };
await captioner.caption(scene(0), { ...options, lang: "en", beams: 4 });
print({ startMs: Math.round(performance.now() - started) });

for (const { languages, beams, pictures = 1, batchSize = 1 } of cases) {
  const run = async () => {
    const images = Array.from({ length: pictures }, (_, index) => scene(index));
    const start = performance.now();
    await captioner.caption(images, { ...options, lang: codes.slice(0, languages), beams, batchSize });
    return performance.now() - start;
  };
  const times = [];
  if (pictures === 1) await run();
  for (let i = 0; i < (pictures === 1 ? Number(values.runs) : 1); i++) times.push(await run());
  const ms = times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
  print({ languages, beams, pictures, batchSize, ms: Number(ms.toFixed(1)) });
}
await captioner.close();
print({ peakMB: Math.round(process.resourceUsage().maxRSS / 1000) });
