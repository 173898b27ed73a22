import { readdirSync, writeFileSync } from "node:fs";
import { appendFile, cp, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { start } from "../../test/support/command-line.js";
import { readEvents } from "../../test/support/event-file.js";
import { temporaryFolder } from "../../test/support/tiny-captioner.js";
import { readTensors } from "../../test/support/tiny-model.js";
import { tinyRecipeModel } from "../../test/support/tiny-recipe.js";
import { loadCaptioner } from "../captioner/load-captioner.js";
import { sceneCaption } from "../data/scenes/caption.js";
import { renderScene } from "../data/scenes/render.js";
import { sceneAt } from "../data/scenes/scene.js";
import { writeScenes } from "../data/scenes/write.js";
import type { Engine } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { html } from "../report/html.js";
import type { Evaluation } from "./evaluator.js";
import { type RecipeInput, resolveRecipe } from "./recipe.js";
import { type RunOptions, startRun } from "./start-run.js";

/** A model of a few thousand weights and its vocabulary, checkpoints and log lines out of step with each other. */
const recipe: RecipeInput = {
  name: "tiny",
  model: tinyRecipeModel,
  data: { kind: "scenes" },
  languages: ["en", "de"],
  steps: 12,
  batchSize: 4,
  gradientAccumulation: 2,
  workers: 2,
  dropout: 0.1,
  learningRate: 1e-2,
  warmupSteps: 2,
  logEvery: 2,
  evaluateEvery: 5,
  evaluateCount: 4,
  checkpointEvery: 3,
  keepCheckpoints: 2,
};

let engine: Engine;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
/** The run that nothing happened to. */
let whole: string;

let count = 0;
const newFolder = () => join(folder.path, `run-${count++}`);

function run(
  out: string,
  options: Partial<RunOptions> & { change?: Partial<RecipeInput> } = {},
): Promise<void> {
  const { change, ...rest } = options;
  return startRun(engine, { recipe: resolveRecipe({ ...recipe, ...change }), out, ...rest });
}

/** Runs until a step is done, then stops. */
async function runUntil(step: number, out: string, change: Partial<RecipeInput> = {}): Promise<void> {
  const controller = new AbortController();
  const onProgress: RunOptions["onProgress"] = (progress) => {
    if (progress.step === step) controller.abort();
  };
  await expect(run(out, { signal: controller.signal, onProgress, change })).rejects.toMatchObject({
    code: "cancelled",
  });
}

const bytes = (...path: string[]) => readFile(join(...path), "base64");
const checkpointOf = (step: number) => `step-${String(step).padStart(6, "0")}`;
const checkpoints = (out: string) => readdir(join(out, "checkpoints"));

/** Lines of metrics.jsonl without what depends on the clock. */
async function metrics(out: string): Promise<unknown[]> {
  const text = await readFile(join(out, "metrics.jsonl"), "utf8");
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const { tokensPerSecond: _, picturesPerSecond: __, productShare: ___, ...rest } = JSON.parse(line);
      return rest;
    });
}

/**
 * Expects the run to have ended with the bits of the one that nothing happened to.
 * @param kept its last checkpoints
 */
async function expectWhole(out: string, kept = ["step-000009", "step-000012"]): Promise<void> {
  for (const file of ["final/model.safetensors", "checkpoints/step-000012/training-state.safetensors"])
    expect((await bytes(out, file)) === (await bytes(whole, file)), file).toBe(true);
  expect(await metrics(out)).toEqual(await metrics(whole));
  expect(await checkpoints(out)).toEqual(kept);
  expect((await readdir(out)).sort()).toEqual((await readdir(whole)).sort());
}

beforeAll(async () => {
  engine = await createNativeEngine();
  folder = await temporaryFolder();
  whole = newFolder();
  await run(whole);
});
afterAll(async () => {
  await engine.close();
  await folder.remove();
});

describe("a run", () => {
  it("leaves a line per logged step and evaluation, the last checkpoints, and a model that has learnt", async () => {
    const lines = (await metrics(whole)) as { step: number; loss?: number; evaluation?: { loss: number } }[];
    const at = (kind: "loss" | "evaluation") => lines.filter((line) => line[kind]).map(({ step }) => step);
    expect(at("loss")).toEqual([2, 4, 6, 8, 10, 12]);
    expect(at("evaluation")).toEqual([5, 10, 12]);
    expect(lines.at(-2)!.loss).toBeLessThan(lines[0]!.loss!);
    expect(lines.at(-1)).toMatchObject({
      evaluation: { loss: expect.any(Number), languages: { en: expect.any(Number), de: expect.any(Number) } },
    });
    expect(await checkpoints(whole)).toEqual(["step-000009", "step-000012"]);
    expect((await readdir(whole)).sort()).toEqual([
      ...["checkpoints", "final", "logs", "metrics.jsonl", "recipe.json", "report.html"],
    ]);
    expect(resolveRecipe(JSON.parse(await readFile(join(whole, "recipe.json"), "utf8")))).toEqual(
      resolveRecipe(recipe),
    );
  });

  it("is evaluated on what its model says, in each language", async () => {
    const [last] = (await metrics(whole)).slice(-1) as [{ evaluation: Evaluation }];
    const { captions, samples } = last.evaluation;
    expect(Object.keys(captions!)).toEqual(["en", "de"]);
    expect(captions!.de).toMatchObject({ captions: 4, cider: expect.any(Number) });

    const captioner = await loadCaptioner({ model: join(whole, "final") });
    for (const [i, sample] of samples!.entries()) {
      const scene = sceneAt({
        split: "test",
        seed: 42,
        index: i,
        objects: ((i % 3) + 1) as 1 | 2 | 3,
        size: 32,
      });
      const results = await captioner.caption(renderScene(scene), { lang: ["en", "de"], maxLength: 65 });
      const said = results.map((result) => "captions" in result && result.captions[0]!.text);
      expect(said).toEqual([sample.en!.caption, sample.de!.caption]);
      expect(sample.de!.reference).toBe(sceneCaption(scene, "de").text);
    }
    await captioner.close();
  });

  it("shows TensorBoard its scalars, sample captions and their pictures", async () => {
    const [file] = await readdir(join(whole, "logs"));
    const events = await readEvents(join(whole, "logs", file!));
    const steps = (tag: string) => events.filter((event) => event.tags.includes(tag)).map(({ step }) => step);
    expect(events[0]).toEqual({ step: 0, version: "brain.Event:2", tags: [] });
    expect(steps("train/loss")).toEqual([2, 4, 6, 8, 10, 12]);
    expect(steps("evaluation/loss")).toEqual([5, 10, 12]);
    expect(steps("cider/de")).toEqual([5, 10, 12]);
    // The picture comes first.
    expect(steps("samples/picture 4")).toEqual([0, 5, 10, 12]);
  });

  it("ends with a report of its curves and sample captions", async () => {
    const report = await readFile(join(whole, "report.html"), "utf8");
    const [last] = (await metrics(whole)).slice(-1) as [{ evaluation: Evaluation }];
    expect(report).toContain("Training run: tiny");
    expect(report).toMatch(/aria-label="Loss: training from [\d.]+ to [\d.]+; evaluation from/);
    for (const { de } of last.evaluation.samples!) expect(report).toContain(html`${de!.reference}`.markup);
    expect(report.match(/<img src="data:image\/png;base64,/g)).toHaveLength(4);
  });

  it("with another seed ends elsewhere", async () => {
    const out = newFolder();
    await run(out, { change: { seed: 43 } });
    expect(await bytes(out, "final/model.safetensors")).not.toBe(
      await bytes(whole, "final/model.safetensors"),
    );
  });

  it("that is complete stays what it is when started again", async () => {
    const out = newFolder();
    await cp(whole, out, { recursive: true });
    await run(out);
    await expectWhole(out);
  });
});

describe("a run that was stopped", () => {
  it.each([1, 3, 4, 8, 11])("after step %i and resumed ends with the same bits", async (step) => {
    const out = newFolder();
    await runUntil(step, out);
    expect(await readdir(out)).not.toContain("final");
    const from: number[] = [];
    await run(out, { onStart: ({ step }) => from.push(step) });
    // Stopping leaves a checkpoint of the last step.
    expect(from).toEqual([step]);
    await expectWhole(out, [step > 9 ? checkpointOf(step) : "step-000009", "step-000012"]);
  });

  it("tells TensorBoard from which step on it begins anew", async () => {
    const out = newFolder();
    await runUntil(4, out);
    await run(out, { resume: join(out, "checkpoints/step-000003") });
    const [, resumed] = await Promise.all(
      (await readdir(join(out, "logs"))).sort().map((file) => readEvents(join(out, "logs", file))),
    );
    expect(resumed!.slice(0, 2)).toEqual([
      { step: 0, version: "brain.Event:2", tags: [] },
      { step: 4, session: 1, tags: [] },
    ]);
  });

  it("time and again ends with the same bits", async () => {
    const out = newFolder();
    for (const step of [4, 5, 7, 10]) await runUntil(step, out);
    expect(await checkpoints(out)).toEqual(["step-000009", "step-000010"]);
    await run(out);
    await expectWhole(out, ["step-000010", "step-000012"]);
  });

  it("is not begun anew with resume never", async () => {
    const out = newFolder();
    await runUntil(4, out);
    await expect(run(out, { resume: "never" })).rejects.toMatchObject({ code: "already-exists" });
    await run(out);
    await expectWhole(out);
  });

  it("goes on with other numbers where they are changed, and not with another model", async () => {
    const out = newFolder();
    await runUntil(4, out);
    const model = { ...recipe.model, decoderLayers: 2 } as RecipeInput["model"];
    await expect(run(out, { change: { model } })).rejects.toMatchObject({
      code: "checkpoint-mismatch",
      message: expect.stringContaining('"decoderLayers":2'),
    });
    await run(out, { change: { learningRate: 1e-3 } });
    expect(await bytes(out, "final/model.safetensors")).not.toBe(
      await bytes(whole, "final/model.safetensors"),
    );
  });

  it("goes on from the checkpoint that is named, in its folder or in another", async () => {
    const elsewhere = newFolder();
    await run(elsewhere, { resume: join(whole, "checkpoints/step-000009") });
    expect(await bytes(elsewhere, "final/model.safetensors")).toBe(
      await bytes(whole, "final/model.safetensors"),
    );

    const out = newFolder();
    await runUntil(5, out);
    const back = { resume: join(out, "checkpoints/step-000003"), change: { steps: 4 } };
    await run(out, back);
    // What came after the checkpoint is forgotten, lest the next run goes on from there.
    expect(await checkpoints(out)).toEqual(["step-000003", "step-000004"]);
    expect((await metrics(out)).map((line) => (line as { step: number }).step)).toEqual([2, 4, 4]);
  });
});

describe("frozen parameters", () => {
  const freeze = ["model.encoder.*", "model.decoder.layers.*", "!*.encoder_attn.*"];
  const weightsOf = async (path: string) => {
    const tensors = await readTensors(join(path, "model.safetensors"));
    return new Map(
      [...tensors].map(([name, { data }]) => [name, Buffer.from(data.buffer).toString("base64")]),
    );
  };

  it("stay as they were, take no room in a checkpoint, and a stopped run ends with the same bits", async () => {
    const [straight, stopped] = [newFolder(), newFolder()];
    await runUntil(1, straight, { freeze });
    const before = await weightsOf(join(straight, "checkpoints/step-000001"));
    await run(straight, { change: { freeze } });
    await runUntil(5, stopped, { freeze });
    await run(stopped, { change: { freeze } });
    const last = "checkpoints/step-000012";
    for (const file of ["final/model.safetensors", `${last}/training-state.safetensors`])
      expect((await bytes(stopped, file)) === (await bytes(straight, file)), file).toBe(true);

    const after = await weightsOf(join(straight, "final"));
    const moved = [...after].filter(([name, value]) => value !== before.get(name)).map(([name]) => name);
    expect(moved).toContain("model.shared.weight");
    expect(moved).toContain("model.decoder.layers.0.encoder_attn.q_proj.weight");
    expect(moved.filter((name) => /^model.encoder|self_attn|fc1/.test(name))).toEqual([]);
    const moments = await readTensors(join(straight, last, "training-state.safetensors"));
    expect([...moments.keys()].filter((name) => /\.(model\.encoder|.*self_attn|.*fc1)/.test(name))).toEqual(
      [],
    );
    expect(moments.has("mean.model.shared.weight")).toBe(true);
    expect(moments.size).toBeLessThan(before.size);
  });

  it("cannot be trained on from a checkpoint without their moments", async () => {
    const out = newFolder();
    await runUntil(2, out, { freeze });
    await expect(run(out)).rejects.toMatchObject({
      code: "checkpoint-mismatch",
      message: expect.stringMatching(/no state of the optimiser for .*it was frozen/),
    });
  });
});

describe("a checkpoint that is damaged", () => {
  const damages: [string, (path: string) => Promise<void>][] = [
    ["a flipped bit among the weights", (path) => flipBit(join(path, "model.safetensors"))],
    ["a flipped bit in the optimiser's state", (path) => flipBit(join(path, "training-state.safetensors"))],
    [
      "a truncated file",
      (path) => open(join(path, "model.safetensors"), "r+").then((file) => truncate(file)),
    ],
    ["a missing file", (path) => rm(join(path, "config.json"))],
    ["no training state", (path) => rm(join(path, "training-state.json"))],
    ["a training state of garbage", (path) => writeFile(join(path, "training-state.json"), "{")],
  ];

  it.each(damages)("by %s is passed over for the one before, with a warning", async (_, damage) => {
    const out = newFolder();
    await runUntil(8, out);
    await damage(join(out, "checkpoints/step-000008"));
    const warnings: string[] = [];
    const from: number[] = [];
    await run(out, {
      onWarning: (message) => warnings.push(message),
      onStart: ({ step }) => from.push(step),
    });
    expect(warnings).toEqual([expect.stringContaining("step-000008")]);
    expect(from).toEqual([6]);
    await expectWhole(out);
  });

  it("is refused where it was named, or no other is left", async () => {
    const out = newFolder();
    await runUntil(3, out);
    const path = join(out, "checkpoints/step-000003");
    await flipBit(join(path, "model.safetensors"));
    const refusal = {
      code: "checkpoint-damaged",
      message: expect.stringMatching(/step-000003: model\.safetensors has changed/),
    };
    await expect(run(out, { resume: path })).rejects.toMatchObject(refusal);
    await expect(run(out)).rejects.toMatchObject(refusal);
  });

  async function flipBit(path: string): Promise<void> {
    const content = await readFile(path);
    content[content.length - 5]! ^= 1;
    await writeFile(path, content);
  }

  async function truncate(file: Awaited<ReturnType<typeof open>>): Promise<void> {
    await file.truncate((await file.stat()).size / 2);
    await file.close();
  }
});

describe("a run that was killed", () => {
  it("at any moment and started again ends with the same bits", async () => {
    const out = newFolder();
    const file = join(folder.path, "tiny.json");
    // A checkpoint every step: kills meet it being written.
    const change = { checkpointEvery: 1 };
    await writeFile(file, JSON.stringify({ ...recipe, ...change }));
    const delays: number[] = [];
    for (let kill = 0; kill < 6; kill++) {
      const before = await checkpoints(out).catch(() => []);
      const { child, finished } = start(["train", file, "--out", out]);
      // Twice while it starts, else while it goes from checkpoint to checkpoint.
      const going = async () => kill < 2 || (await checkpoints(out).catch(() => [])).join() !== before.join();
      while (child.exitCode === null && !(await going())) await wait(2);
      const delay = Math.random() * (kill < 2 ? 600 : 60);
      delays.push(delay);
      await wait(delay);
      child.kill("SIGKILL");
      await finished;
    }
    await appendFile(join(out, "metrics.jsonl"), '{"step":1'); // A line that a kill cut short.
    await run(out, { change });
    const killed = `killed after ${delays.map(Math.round).join(", ")} ms`;
    expect(
      (await bytes(out, "final/model.safetensors")) === (await bytes(whole, "final/model.safetensors")),
      killed,
    ).toBe(true);
    expect(await metrics(out), killed).toEqual(await metrics(whole));
    expect(await checkpoints(out), killed).toEqual(["step-000011", "step-000012"]);
    expect((await readdir(out)).sort(), killed).toEqual((await readdir(whole)).sort());
  });
});

describe("a run at the command line that is interrupted", () => {
  /** A recipe that does not end, in a file. */
  const endless = async (name: string, change: Partial<RecipeInput> = {}) => {
    const file = join(folder.path, `${name}.json`);
    const never = { steps: 1_000_000, checkpointEvery: 1_000_000, logEvery: 1 };
    await writeFile(file, JSON.stringify({ ...recipe, ...never, ...change }));
    return file;
  };
  const lines = (out: string) => readFile(join(out, "metrics.jsonl"), "utf8").catch(() => "");

  it("writes a checkpoint, leaves with 130, and goes on from there", async () => {
    const [file, out] = [await endless("interrupted"), newFolder()];
    const { child, finished } = start(["train", file, "--out", out]);
    while (child.exitCode === null && (await lines(out)) === "") await wait(10);
    child.kill("SIGINT");
    const { code, stderr } = await finished;
    expect(code, stderr).toBe(130);
    const [name, ...others] = await checkpoints(out);
    const step = Number(name!.slice("step-".length));
    expect(others).toEqual([]);
    expect(stderr).toContain(`stopped after step ${step}. The same command goes on from there. (cancelled)`);
    expect(await readdir(out)).not.toContain("final");
    const steps = (await lines(out))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).step);
    expect(Math.max(...steps)).toBe(step);
    const from: number[] = [];
    await run(out, { change: { steps: step + 1 }, onStart: (started) => from.push(started.step) });
    expect(from).toEqual([step]);
  });

  it("a second time leaves at once", async () => {
    // Many small parts: a step takes seconds.
    const file = await endless("twice", { batchSize: 1024, gradientAccumulation: 1024, workers: 1 });
    const out = newFolder();
    const { child, finished } = start(["train", file, "--out", out]);
    while (child.exitCode === null && (await lines(out)) === "") await wait(10);
    child.kill("SIGINT");
    await new Promise((resolve) =>
      child.stderr.on("data", (text) => /Interrupt again/.test(text) && resolve(text)),
    );
    child.kill("SIGINT");
    await finished;
    expect(child.signalCode).toBe("SIGINT");
    expect(await checkpoints(out)).toEqual([]);
  });
});

it("a picture that cannot be read ends the run with its name, while the engine works on others", async () => {
  const data = join(folder.path, "scenes");
  await writeScenes({ out: data, count: 40, seed: 1, split: "train", size: 32 });
  const out = newFolder();
  const spoil: RunOptions["onProgress"] = ({ step }) => {
    if (step !== 4) return;
    for (const name of readdirSync(join(data, "images")))
      writeFileSync(join(data, "images", name), "no picture");
  };
  // Many small parts: a step takes longer than reading does.
  const change = {
    data: { kind: "folder", path: data },
    evaluateCount: 1,
    batchSize: 32,
    gradientAccumulation: 32,
    workers: 1,
  } as const;
  await expect(run(out, { change, onProgress: spoil })).rejects.toMatchObject({
    code: "unreadable-image",
    message: expect.stringContaining(join(data, "images")),
  });
  expect(await checkpoints(out)).toEqual(["step-000003"]);
});
