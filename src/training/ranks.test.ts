import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasMpirun, pidOfRank, type Ranks, startCommand } from "../../test/support/mpi.js";
import { temporaryFolder } from "../../test/support/tiny-captioner.js";
import { maxAbsoluteDifference, readTensors } from "../../test/support/tiny-model.js";
import { tinyRecipeModel } from "../../test/support/tiny-recipe.js";
import type { Engine } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { OneDnnApi } from "../engine/onednn/onednn-api.js";
import { listCheckpoints } from "./checkpoint.js";
import { oneProcess } from "./collective/one-process.js";
import { compareRanks } from "./compare-ranks.js";
import { allocateTraining, fillShare, shareOfMemory } from "./parameters.js";
import { type RecipeInput, resolveRecipe } from "./recipe.js";
import { SharedLoops } from "./shared-loops.js";
import { type RunOptions, startRun } from "./start-run.js";

function hasBf16(): boolean {
  try {
    return OneDnnApi.load() !== undefined;
  } catch {
    return false;
  }
}

/** A model of a few thousand weights and its vocabulary. */
const recipe: RecipeInput = {
  name: "tiny",
  model: tinyRecipeModel,
  data: { kind: "scenes" },
  languages: ["en", "de"],
  steps: 50,
  batchSize: 8,
  learningRate: 1e-2,
  warmupSteps: 2,
  clipNorm: 0.4,
  logEvery: 1,
  evaluateEvery: 25,
  evaluateCount: 4,
  checkpointEvery: 10,
  keepCheckpoints: 20,
  checkEvery: 7,
};

describe("shares of the optimiser's state", () => {
  const shapes = new Map([
    ["a", [5, 3]],
    ["b", [1]],
    ["c", [9]],
  ] as const);

  it.each([1, 2, 3, 4, 30])("of %i ranks are all of it, each value once", (size) => {
    const whole = allocateTraining(shapes, shapes);
    const [gathered] = [new Float32Array(whole.gradients.stretches[0]!.length)];
    let at = 0;
    for (let rank = 0; rank < size; rank++) {
      const memory = allocateTraining(shapes, shapes, { rank, size });
      let value = 0;
      for (const [name, { data }] of Object.entries(memory.gradients.tensors)) {
        const values = Float32Array.from(data, () => ++value);
        data.set(values);
        fillShare(memory.mean, memory.gradients, name, values, { rank, size });
      }
      const own = shareOfMemory(memory, { rank, size });
      expect(own.mean.stretches).toEqual(own.gradients.stretches);
      expect(own.parameters.stretches[0]!.length).toBe(own.square.stretches[0]!.length);
      gathered.set(own.mean.stretches[0]!, at);
      at += own.mean.stretches[0]!.length;
    }
    expect([...gathered]).toEqual([...gathered.keys()].map((i) => i + 1));
  });

  it("refuse a moment of another size", () => {
    const { mean, gradients } = allocateTraining(shapes, shapes);
    expect(() => fillShare(mean, gradients, "c", new Float32Array(8), oneProcess)).toThrow(
      "c: expected 9 values; got 8",
    );
  });
});

describe("ranks whose parameters", () => {
  const loops = new SharedLoops(1);
  afterAll(() => loops.close());
  const stretch = Float32Array.from({ length: 1000 }, (_, i) => Math.sin(i));
  /** What a rank is told that the others', whose parameters are changed so, have. */
  const compare = async (...others: ((values: Float32Array) => void)[]) => {
    const checksums: number[] = [];
    const exchange = async (numbers: readonly number[]) => {
      checksums.push(numbers[0]!);
      return checksums.map((checksum) => [checksum]);
    };
    let told = await compareRanks({ ...oneProcess, exchange }, loops, { stretches: [stretch] }, 7);
    for (const change of others) {
      const changed = stretch.slice();
      change(changed);
      told = await compareRanks({ ...oneProcess, exchange }, loops, { stretches: [changed] }, 7);
    }
    return told;
  };
  const flip = (at: number, bit: number) => (values: Float32Array) => {
    new Uint32Array(values.buffer)[at]! ^= 1 << bit;
  };
  const same = () => {};

  it("are the same are left alone", async () => {
    expect(await compare(same, same)).toBeUndefined();
  });

  it.each([
    ["one bit", flip(500, 0)],
    ["a sign", flip(0, 31)],
    ["two signs", (values: Float32Array) => [3, 700].map((at) => flip(at, 31)(values))],
    ["two places", (values: Float32Array) => values.subarray(1, 3).reverse()],
  ])("differ in %s are named", async (_, change) => {
    const error = await compare(same, change, same);
    expect(error).toMatchObject({
      code: "ranks-differ",
      message: expect.stringMatching(/After step 7 the parameters of rank 2 are not those of rank 0/),
    });
  });
});

describe.skipIf(!hasMpirun)("several ranks", () => {
  let engine: Engine;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  /** Runs of one and two ranks that nothing happened to. */
  let alone: string;
  let together: string;

  let count = 0;
  const newFolder = () => join(folder.path, `run-${count++}`);
  const run = (out: string, change: Partial<RecipeInput> = {}, options: Partial<RunOptions> = {}) =>
    startRun(engine, { recipe: resolveRecipe({ ...recipe, ...change }), out, ...options });
  const start = async (ranks: number, out: string, change: Partial<RecipeInput> = {}, ...args: string[]) => {
    const file = `${out}.json`;
    await writeFile(file, JSON.stringify({ ...recipe, ...change }));
    return startCommand(ranks, ["train", file, "--out", out, ...args]);
  };
  const finish = async (started: Ranks) => {
    const { code, stderr } = await started.finished;
    expect(code, stderr).toBe(0);
  };
  const logged = async (out: string): Promise<{ step: number; loss: number; gradientNorm: number }[]> => {
    const text = await readFile(join(out, "metrics.jsonl"), "utf8").catch(() => "");
    const lines = text.split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line)).filter(({ loss }) => loss !== undefined);
  };
  const losses = async (out: string) => (await logged(out)).map(({ loss }) => loss);
  /** The largest difference of what two runs have logged. */
  const difference = async (a: string, b: string) => {
    const [ours, theirs] = [await losses(a), await losses(b)];
    expect(ours.length).toBe(theirs.length);
    return Math.max(...ours.map((loss, i) => Math.abs(loss - theirs[i]!)));
  };
  const bytes = (...path: string[]) => readFile(join(...path), "base64");
  const expectSameBits = async (out: string, expected: string, why: string) => {
    for (const file of ["final/model.safetensors", "checkpoints/step-000050/training-state.safetensors"])
      expect((await bytes(out, file)) === (await bytes(expected, file)), `${file}, ${why}`).toBe(true);
  };

  beforeAll(async () => {
    engine = await createNativeEngine();
    folder = await temporaryFolder();
    [alone, together] = [newFolder(), newFolder()];
    await run(alone);
    await finish(await start(2, together));
  });
  afterAll(async () => {
    await engine.close();
    await folder.remove();
  });

  it("learn from half a batch each what one learns from the whole", async () => {
    expect((await losses(alone)).length).toBe(50);
    expect(await difference(alone, together)).toBeLessThan(1e-5);
    expect((await losses(together)).at(-1)).toBeLessThan((await losses(together))[0]! - 1);
    expect((await readdir(together)).sort()).toEqual((await readdir(alone)).sort());

    // Masks follow a picture's place in the whole batch.
    const change = { dropout: 0.3, steps: 8, gradientAccumulation: 2 };
    const [one, four] = [newFolder(), newFolder()];
    await Promise.all([run(one, change), start(4, four, change).then(finish)]);
    expect(await difference(one, four)).toBeLessThan(1e-5);
  });

  it("leave one optimiser's state, which any number of them goes on from", async () => {
    const file = "checkpoints/step-000020/training-state.safetensors";
    const [ours, theirs] = [await readTensors(join(together, file)), await readTensors(join(alone, file))];
    expect([...ours.keys()]).toEqual([...theirs.keys()]);
    for (const [name, { data }] of ours)
      expect(
        maxAbsoluteDifference(data as Float32Array, theirs.get(name)!.data as Float32Array),
        name,
      ).toBeLessThan(1e-4);

    const from = (out: string) => join(out, "checkpoints/step-000020");
    const [one, two] = [newFolder(), newFolder()];
    await Promise.all([
      run(one, {}, { resume: from(together) }),
      start(2, two, {}, "--resume", from(alone)).then(finish),
    ]);
    const rest = (await losses(alone)).slice(20);
    for (const out of [one, two]) {
      const after = await losses(out);
      expect(after.length).toBe(30);
      after.forEach((loss, i) => {
        expect(Math.abs(loss - rest[i]!)).toBeLessThan(1e-4);
      });
    }
  });

  const dtypes = hasBf16() ? (["fp32", "bf16"] as const) : (["fp32"] as const);
  if (dtypes.length === 1) it.skip("do the same in bf16", () => {});
  it.each(dtypes)(
    "end with the same bits after one was killed, and after one was told to stop, in %s",
    async (dtype) => {
      const [out, undisturbed] = [newFolder(), dtype === "fp32" ? together : newFolder()];
      if (dtype === "bf16") await finish(await start(2, undisturbed, { dtype }));
      const done = async () => (await logged(out)).at(-1)?.step ?? 0;
      /** Signals a rank some time after the first step. */
      const signal = async (name: "SIGKILL" | "SIGUSR2") => {
        const [newest] = (await listCheckpoints(out)).map((path) => Number(path.slice(-6)));
        const started = await start(2, out, { dtype });
        // Lines of steps after the checkpoint that it goes on from are taken back first.
        for (const begun of [false, true])
          while (started.child.exitCode === null && (await done()) > (newest ?? 0) !== begun) await wait(5);
        await wait(100 * Math.random());
        const rank = Math.floor(2 * Math.random());
        const pid = pidOfRank(started, rank);
        expect(pid, "a rank that still runs").toBeDefined();
        process.kill(pid!, name);
        return { rank, ...(await started.finished) };
      };

      const killed = await signal("SIGKILL");
      expect(killed.code).not.toBe(0);
      expect(killed.stderr).toMatch(new RegExp(`rank ${killed.rank} .*exited on signal 9`, "s"));
      const stopped = await signal("SIGUSR2");
      expect(stopped.code, stopped.stderr).toBe(130);
      const step = await done();
      expect(stopped.stderr).toContain(
        `Rank 0 of 2, on ${hostname()}: The run was stopped after step ${step}. The same command goes on from there.`,
      );
      expect(await readdir(join(out, "checkpoints"))).toContain(`step-${String(step).padStart(6, "0")}`);

      await finish(await start(2, out, { dtype }));
      await expectSameBits(
        out,
        undisturbed,
        `rank ${killed.rank} killed, rank ${stopped.rank} stopped after ${step}`,
      );
      expect(await losses(out)).toEqual(await losses(undisturbed));
      if (dtype === "bf16") expect(await losses(out)).not.toEqual(await losses(together));
    },
  );

  it("end with the one that fails alone, by its name", async () => {
    const out = newFolder();
    const started = await start(2, out, { steps: 1_000_000, checkpointEvery: 200 });
    while (started.child.exitCode === null && (await logged(out)).length === 0) await wait(5);
    // Rank 0 finds that it cannot write, while rank 1 waits for it.
    await rm(join(out, "checkpoints"), { recursive: true });
    await writeFile(join(out, "checkpoints"), "");
    const { code, stderr } = await started.finished;
    expect(code).toBe(1);
    expect(stderr).toMatch(/lingolens: Rank 0 of 2, on .*: .*run-\d+ cannot be written to/);
  });

  it("that are put wrongly end all, by name", async () => {
    const { code, stdout, stderr } = await (await start(2, newFolder(), { batchSize: 7 })).finished;
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toMatch(
      /lingolens: Rank \d of 2, on .*: Recipe: batchSize \(7\) is not a multiple of ranks × workers/,
    );
  });
});
