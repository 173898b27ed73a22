// Kills training ten times at random moments, on one rank and on two, and compares the model in the end with that of a run
// that nothing happened to: the same bytes, or exit code 1. After: npm run build
//
//   node bench/kill-ranks.mjs [--kills 10] [--steps 300] [--ranks 1,2] [--dtype fp32] [--seed 1]
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { scenes } from "../dist/recipes/scenes.js";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "10" },
    steps: { type: "string", default: "300" },
    ranks: { type: "string", default: "1,2" },
    dtype: { type: "string", default: "fp32" },
    seed: { type: "string", default: "1" },
  },
});
const lingolens = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "lingolens-kills-"));
const recipe = join(folder, "recipe.json");
const model = { visionHiddenSize: 32, visionLayers: 1, visionHeads: 2, visionIntermediateSize: 64 };
const decoder = { decoderHiddenSize: 32, decoderLayers: 1, decoderHeads: 2, decoderFfnDim: 64 };
writeFileSync(
  recipe,
  JSON.stringify({
    ...scenes,
    model: { ...scenes.model, ...model, ...decoder },
    steps: Number(values.steps),
    batchSize: 8,
    dtype: values.dtype,
    workers: 1,
    logEvery: 1,
    evaluateEvery: 100,
    evaluateCount: 8,
    checkpointEvery: 7,
    keepCheckpoints: 3,
  }),
);

let state = Number(values.seed);
/** From 0 to 1: a multiplicative congruential generator (Park & Miller 1988). */
function random() {
  state = (state * 48271) % 2147483647;
  return state / 2147483647;
}

/** Starts the run, on one rank without mpirun. */
function start(ranks, out) {
  const command = [process.execPath, lingolens, "train", recipe, "--out", out];
  const all = ranks > 1 ? ["mpirun", "--oversubscribe", "-n", String(ranks), ...command] : command;
  const child = spawn(all[0], all.slice(1), {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" },
  });
  let said = "";
  child.stderr.on("data", (text) => {
    said += text;
  });
  const ended = new Promise((resolve) => child.on("close", (code) => resolve({ code, said })));
  return { child, ended };
}

/** Processes of a run that train. */
function trainers(out) {
  return readdirSync("/proc").filter((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      return words[1] === lingolens && words.includes(out);
    } catch {
      return false; // It has ended meanwhile.
    }
  });
}

function lastStep(out) {
  const file = join(out, "metrics.jsonl");
  const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
  return Number(/"step":(\d+)/.exec(lines.at(-1) ?? "")?.[1] ?? 0);
}

async function finish(ranks, out) {
  const { code, said } = await start(ranks, out).ended;
  if (code !== 0) throw new Error(`The run failed:\n${said}`);
  const final = readFileSync(join(out, "final", "model.safetensors"));
  return createHash("sha256").update(final).digest("hex");
}

let failed = false;
try {
  for (const ranks of values.ranks.split(",").map(Number)) {
    const whole = await finish(ranks, join(folder, `whole-${ranks}`));
    const out = join(folder, `killed-${ranks}`);
    const kills = [];
    const steps = Array.from({ length: Number(values.kills) }, () => Math.floor(random() * values.steps));
    for (const step of steps.sort((a, b) => a - b)) {
      const { child, ended } = start(ranks, out);
      // The first one while it starts, the others somewhere in a step, or in what is done between steps.
      const ready = () => kills.length === 0 || lastStep(out) >= step;
      while (child.exitCode === null && !(ready() && trainers(out).length === ranks)) await wait(2);
      await wait(30 * random());
      const pids = trainers(out);
      if (pids.length > 0) {
        process.kill(Number(pids[Math.floor(random() * pids.length)]), "SIGKILL");
        kills.push(lastStep(out));
      }
      await ended;
    }
    const same = (await finish(ranks, out)) === whole;
    failed ||= !same || kills.length < steps.length;
    console.log(
      `${ranks} rank${ranks > 1 ? "s" : ""}, ${values.steps} steps: killed ${kills.length} times, after steps ` +
        `${kills.join(", ")}; ${same ? "the same bytes" : "OTHER BYTES"} as undisturbed`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;
