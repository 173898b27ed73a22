import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import type { Engine } from "../engine/engine.js";
import { LingolensError } from "../errors.js";
import { oneProcess } from "./collective/one-process.js";
import { chooseDType, type DTypeChoice, dtypeOfRun } from "./run-dtype.js";

const engine = { description: "float32 alone", close: async () => {} } as unknown as Engine;
const withBf16 = { ...engine, compileGraph: vi.fn(), close: vi.fn() } as unknown as Engine;
const cannot = async (): Promise<Engine> => {
  throw new LingolensError("engine-unavailable", "It has no oneDNN.");
};

const choice: DTypeChoice = {
  asked: "auto",
  begun: undefined,
  engine,
  openBf16: async () => withBf16,
  collective: oneProcess,
};
const [large, small] = [546e6, 7e6];

/** What a run of a model of so many parameters is computed in, and where. */
async function chosen(change: Partial<DTypeChoice>, parameters = large) {
  const { engine, dtypeOf } = await chooseDType({ ...choice, ...change });
  return { dtype: dtypeOf(parameters), engine };
}

describe("what a run is computed in", () => {
  it("is bf16 by itself for a large model where the machine can", async () => {
    expect(await chosen({})).toEqual({ dtype: "bf16", engine: withBf16 });
    expect(await chosen({ openBf16: cannot })).toEqual({ dtype: "fp32", engine });
    expect(await chosen({ openBf16: undefined })).toEqual({ dtype: "fp32", engine });
    expect((await chosen({}, small)).dtype).toBe("fp32");
  });

  it("is fp32 for all ranks where one of them cannot do otherwise", async () => {
    const collective = { ...oneProcess, exchange: async () => [[0], [1]] };
    expect(await chosen({ collective })).toEqual({ dtype: "fp32", engine });
    expect(withBf16.close).toHaveBeenCalledOnce();
  });

  it("stays what it was when the run began, whatever the model's size", async () => {
    expect(await chosen({ begun: "fp32" })).toEqual({ dtype: "fp32", engine });
    expect(await chosen({ begun: "bf16" }, small)).toEqual({ dtype: "bf16", engine: withBf16 });
    await expect(chosen({ begun: "bf16", openBf16: cannot })).rejects.toMatchObject({
      code: "engine-unavailable",
      message: "This run has begun in bf16. It has no oneDNN. --dtype fp32 goes on without.",
    });
  });

  it("is what was asked for, or nothing", async () => {
    expect(await chosen({ begun: "bf16", asked: "fp32" })).toEqual({ dtype: "fp32", engine });
    expect(await chosen({ begun: "fp32", asked: "bf16" }, small)).toEqual({
      dtype: "bf16",
      engine: withBf16,
    });
    await expect(chosen({ asked: "bf16", openBf16: cannot })).rejects.toThrow(/^It has no oneDNN\.$/);
  });

  it("is read from the run's folder, in which runs before the choice say nothing and were in float32", async () => {
    const folder = await mkdtemp(join(tmpdir(), "lingolens-dtype-"));
    try {
      const checkpoint = join(folder, "checkpoints", "step-000010");
      await mkdir(checkpoint, { recursive: true });
      expect(await dtypeOfRun(checkpoint)).toBeUndefined();
      for (const [recipe, dtype] of [
        [{}, "fp32"],
        [{ dtype: "bf16" }, "bf16"],
      ] as const) {
        await writeFile(join(folder, "recipe.json"), JSON.stringify(recipe));
        expect(await dtypeOfRun(checkpoint)).toBe(dtype);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
