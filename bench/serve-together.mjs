// Requests sent at once against as many sent one after another, to one server.
//
//     npm run build && node bench/serve-together.mjs [--requests 8] [--rounds 5] [--tokens 16] [--model M]
//         [--large fp32|int8 [--work DIR]]
//
// Each round times the one and the other, and takes the server's processor time, which another program's load changes less.
// A request is an example picture, described in one language with four beams; all
// captions are as long as --tokens says, as a real one is: those of random weights have no end of their own. --large
// makes a model of the original's size with random weights, which have the speed of real ones, in --work, a temporary
// folder unless named, and finds it there the next time.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createNativeEngine } from "../dist/engine/native.js";
import { quantizeModel } from "../dist/quantization/quantize-model.js";
import { writeFolderAtomically } from "../dist/weights/atomic-file.js";
import { examplePictures } from "../dist/weights/bundled-model.js";
import { openModelFolder } from "../dist/weights/model-folder.js";
import { writeRandomModel } from "./random-model.mjs";

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "8" },
    rounds: { type: "string", default: "5" },
    tokens: { type: "string", default: "16" },
    model: { type: "string" },
    large: { type: "string" },
    work: { type: "string" },
  },
});
const [requests, rounds] = [Number(values.requests), Number(values.rounds)];
const work = values.work ?? (values.large && (await mkdtemp(join(tmpdir(), "lingolens-bench-"))));

async function largeModel() {
  const [fp32, int8] = [join(work, "fp32"), join(work, "int8")];
  await mkdir(work, { recursive: true });
  if (!existsSync(values.large === "int8" ? int8 : fp32)) {
    if (!existsSync(fp32)) await writeRandomModel(fp32);
    if (values.large === "int8") {
      const engine = await createNativeEngine();
      await writeFolderAtomically(int8, async (aside) =>
        quantizeModel(engine, await openModelFolder(fp32), aside),
      );
      await engine.close();
    }
  }
  return values.large === "int8" ? int8 : fp32;
}

const model = values.large ? await largeModel() : values.model;
const pictures = await Promise.all(examplePictures.map((path) => readFile(path, "base64")));
// Behind the start token and the language.
const length = Number(values.tokens) + 2;

async function send(url, i) {
  const images = [{ base64: pictures[i % pictures.length] }];
  const body = JSON.stringify({ images, lang: "en", beams: 4, minLength: length, maxLength: length });
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${url}/v1/captions`, { method: "POST", headers, body });
  const { results } = await answer.json();
  if (results?.[0].captions?.[0].tokens.length !== length) throw new Error(`Got ${answer.status}.`);
}

async function processorTime(url) {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^process_cpu_seconds_total (.+)$/m.exec(text)[1]);
}

/** Seconds by the clock and of the server's processors. */
async function timed(url, work) {
  const before = await processorTime(url);
  const since = performance.now();
  await work();
  const clock = (performance.now() - since) / 1000;
  return { clock, processors: (await processorTime(url)) - before };
}

const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const args = [main, "serve", "--port", "0", ...(model ? ["--model", model] : [])];
const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] });
try {
  const [url] = await once(createInterface(child.stdout), "line");
  const each = Array.from({ length: requests }, (_, i) => i);
  const together = () => timed(url, () => Promise.all(each.map((i) => send(url, i))));
  const inTurn = () =>
    timed(url, async () => {
      for (const i of each) await send(url, i);
    });
  await together();
  const times = { together: [], inTurn: [] };
  for (let round = 0; round < rounds; round++) {
    times.together.push(await together());
    times.inTurn.push(await inTurn());
    const [a, b] = [times.together.at(-1), times.inTurn.at(-1)];
    console.error(
      `round ${round + 1}: together ${a.clock.toFixed(2)} s (processors ${a.processors.toFixed(2)} s), ` +
        `one after another ${b.clock.toFixed(2)} s (${b.processors.toFixed(2)} s)`,
    );
  }
  const sum = (list, name = "clock") => list.reduce((total, time) => total + time[name], 0);
  const ratio = (name) => (sum(times.inTurn, name) / sum(times.together, name)).toFixed(2);
  const ratios = times.inTurn.map(({ clock }, i) => clock / times.together[i].clock).sort((a, b) => a - b);
  const answers = requests * rounds;
  console.log(
    `${cpus()[0].model}, ${availableParallelism()} processors; ${requests} requests of ${values.tokens} new tokens, ` +
      `${rounds} rounds, ${values.large ? `full size, ${values.large}` : (values.model ?? "bundled model")}: ` +
      `together ${(answers / sum(times.together)).toFixed(2)} captions/s, one after another ` +
      `${(answers / sum(times.inTurn)).toFixed(2)}: ${ratio("clock")} times ` +
      `(by round ${ratios[0].toFixed(2)} to ${ratios.at(-1).toFixed(2)}), by processor time ${ratio("processors")} times`,
  );
} finally {
  child.kill("SIGTERM");
  await once(child, "exit");
  if (values.large && !values.work) await rm(work, { recursive: true, force: true });
}
