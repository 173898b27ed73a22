import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  add,
  cast,
  concat,
  encodeProgram,
  expand,
  gemm,
  input,
  multiply,
  negate,
  parameter,
  sum,
} from "../graph/index.js";
import { allocate, compileProgram } from "./compile.js";
import type { DType, Engine, Executable, HostTensor } from "./engine.js";
import { createNativeEngine } from "./native.js";
import { DTYPES } from "./signature.js";

let engine: Engine;
beforeAll(async () => {
  engine = await createNativeEngine();
});
afterAll(() => engine.close());

const floats = (data: Float32Array, shape: readonly number[] = [data.length]): HostTensor => ({
  dtype: "float32",
  shape,
  data,
});
const code = (expected: string) => expect.objectContaining({ name: "LingolensError", code: expected });

/** sum = a + b, over vectors of one named size. */
function compileSum(on: Engine = engine): Promise<Executable> {
  const a = input("a", "float32", ["n"]);
  return on.compile(encodeProgram({ outputs: { sum: add(a, input("b", "float32", ["n"])) } }));
}

/** A product that keeps one processor busy for a tenth of a second or more. */
async function compileLongProduct() {
  const size = 1024;
  const a = input("a", "float32", [size, size]);
  let power = a;
  for (let i = 0; i < 16; i++) power = gemm(power, a);
  const program = await engine.compile(encodeProgram({ outputs: { c: power } }), { threads: 1 });
  const matrix = floats(new Float32Array(size * size).fill(1 / size), [size, size]);
  const c = floats(new Float32Array(size * size), [size, size]);
  return { program, c, run: () => program.run({ a: matrix }, { c }) };
}

describe("memory", () => {
  it("reads and writes the caller's memory in place", async () => {
    const program = await compileSum();
    const memory = Float32Array.of(1, 2, 3, 10, 20, 30, 0, 0, 0, 7);
    const part = (start: number) => floats(memory.subarray(start, start + 3));
    await program.run({ a: part(0), b: part(3) }, { sum: part(6) });
    expect([...memory]).toEqual([1, 2, 3, 10, 20, 30, 11, 22, 33, 7]);
    await program.close();
  });

  it("takes one tensor on both sides", async () => {
    const program = await compileSum();
    const a = floats(Float32Array.of(1, 2, 3));
    await program.run({ a, b: floats(Float32Array.of(4, 5, 6)) }, { sum: a });
    await program.run({ a, b: a }, { sum: a });
    expect([...a.data]).toEqual([10, 14, 18]);
    await program.close();
  });

  it("takes memory that threads share", async () => {
    const program = await compileSum();
    const shared = (...values: number[]) => {
      const data = new Float32Array(new SharedArrayBuffer(4 * values.length));
      data.set(values);
      return floats(data);
    };
    const result = shared(0, 0);
    await program.run({ a: shared(1, 2), b: shared(3, 4) }, { sum: result });
    expect([...result.data]).toEqual([4, 6]);
    await program.close();
  });

  it("is not moved or freed by a garbage collection during the run", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const program = await compileSum();
    for (let round = 0; round < 20; round++) {
      // So small that JavaScript's engine would keep them among its own objects, which it moves.
      const results = Array.from({ length: 10 }, () => floats(new Float32Array(2)));
      const runs = results.map((result, i) =>
        program.run(
          { a: floats(Float32Array.of(i, round)), b: floats(Float32Array.of(1, 1)) },
          { sum: result },
        ),
      );
      collect();
      await Promise.all(runs);
      results.forEach(({ data }, i) => {
        expect([...data]).toEqual([i + 1, round + 1]);
      });
    }
    await program.close();
  });

  it("gives what addition gives, for any size, none included", async () => {
    const program = await compileSum();
    const pair = fc.integer({ min: 0, max: 70 }).chain((length) => {
      const vector = fc.float32Array({ minLength: length, maxLength: length, noNaN: true });
      return fc.tuple(vector, vector);
    });
    await fc.assert(
      fc.asyncProperty(pair, async ([a, b]) => {
        const result = new Float32Array(a.length);
        await program.run({ a: floats(a), b: floats(b) }, { sum: floats(result) });
        expect(result).toEqual(a.map((value, i) => value + b[i]!));
      }),
    );
    await program.close();
  });

  it.each(DTYPES)("carries %s in and out", async (dtype: DType) => {
    const x = input("x", "float32", [3]);
    const there = await compileProgram(engine, { outputs: { y: cast(x, dtype) } });
    const { y } = await there.run({ x: floats(Float32Array.of(0, 1, 100)) });
    expect(y!.data).toHaveLength(3);
    const back = await compileProgram(engine, { outputs: { z: cast(input("y", dtype, [3]), "float32") } });
    const { z } = await back.run({ y: y! });
    expect([...z!.data]).toEqual(dtype === "bool" ? [0, 1, 1] : [0, 1, 100]);
    await Promise.all([there.close(), back.close()]);
  });
});

describe("what does not fit", () => {
  const two = () => floats(new Float32Array(2));
  const three = () => floats(new Float32Array(3));
  const cases: [string, Record<string, HostTensor>, Record<string, HostTensor>, RegExp][] = [
    ["a missing input", { a: two() }, { sum: two() }, /input "b" \(float32\[n\]\) was not given/],
    ["a missing output", { a: two(), b: two() }, {}, /output "sum" .* was not given/],
    ["an unknown output", { a: two(), b: two() }, { sum: two(), total: two() }, /no output "total"/],
    [
      "another element type",
      { a: { ...two(), dtype: "int32", data: new Int32Array(2) }, b: two() },
      { sum: two() },
      /"a": expected float32\[n\]; got int32\[2\]/,
    ],
    [
      "another rank",
      { a: { ...two(), shape: [1, 2] }, b: two() },
      { sum: two() },
      /expected float32\[n\]; got float32\[1, 2\]/,
    ],
    [
      "sizes that disagree",
      { a: two(), b: three() },
      { sum: two() },
      /"b": expected float32\[n\] with n = 2; got float32\[3\]/,
    ],
    [
      "an output of another size",
      { a: two(), b: two() },
      { sum: three() },
      /output "sum": expected float32\[n\] with n = 2/,
    ],
    [
      "less memory than the shape says",
      { a: { ...two(), shape: [3] }, b: three() },
      { sum: three() },
      /Float32Array of 3 elements.*got Float32Array of 2/,
    ],
    [
      "memory of another kind",
      { a: { ...two(), data: new Int32Array(2) }, b: two() },
      { sum: two() },
      /got Int32Array of 2/,
    ],
    ["a size that is none", { a: { ...two(), shape: [-2] }, b: two() }, { sum: two() }, /shape|elements/],
  ];

  it.each(cases)("%s is refused before anything runs", async (_, inputs, outputs, message) => {
    const program = await compileSum();
    const failure = await program.run(inputs, outputs).catch((error) => error);
    expect(failure).toEqual(code("shape-mismatch"));
    expect(failure.message).toMatch(message);
    await program.close();
  });

  it("lets inputs be given that the program does not take", async () => {
    const program = await compileSum();
    const sumOf = two();
    await program.run({ a: two(), b: two(), other: three() }, { sum: sumOf });
    await program.close();
  });

  it("never writes beyond an output whose size follows from several inputs", async () => {
    const joined = concat([input("a", "float32", ["m"]), input("b", "float32", ["n"])], 0);
    const program = await engine.compile(encodeProgram({ outputs: { joined } }));
    const memory = new Float32Array(8).fill(-1);
    const tooSmall = floats(memory.subarray(0, 4));
    const run = program.run({ a: three(), b: three() }, { joined: tooSmall });
    await expect(run).rejects.toEqual(code("engine-failed"));
    expect([...memory]).toEqual(Array(8).fill(-1));
    await program.close();
  });
});

describe("calls", () => {
  it("leave the event loop free", async () => {
    const { program, c, run } = await compileLongProduct();
    let ticks = 0;
    const interval = setInterval(() => ticks++, 1);
    await run();
    clearInterval(interval);
    expect(ticks).toBeGreaterThan(10);
    expect(c.data[0]).toBeCloseTo(1 / 1024, 6);
    await program.close();
  });

  it("run side by side, many more than there are threads for", async () => {
    const programs = await Promise.all([compileSum(), compileSum()]);
    const runs = Array.from({ length: 600 }, async (_, i) => {
      const result = new Float32Array(1);
      const inputs = { a: floats(Float32Array.of(i)), b: floats(Float32Array.of(1)) };
      await programs[i % 2]!.run(inputs, { sum: floats(result) });
      return result[0];
    });
    expect(await Promise.all(runs)).toEqual(runs.map((_, i) => i + 1));
    await Promise.all(programs.map((program) => program.close()));
  });

  it("leave no memory behind", async () => {
    const program = await compileSum();
    const [a, b, result] = [new Float32Array(64), new Float32Array(64), new Float32Array(64)].map((x) =>
      floats(x),
    );
    const run = async (times: number) => {
      for (let i = 0; i < times; i++) await program.run({ a: a!, b: b! }, { sum: result! });
      return process.memoryUsage.rss();
    };
    const before = await run(5_000);
    // Three tensors a run: 100 bytes left of each would be 6 MB.
    expect((await run(20_000)) - before).toBeLessThan(6e6);
    await program.close();
  });
});

describe("closing", () => {
  it("waits for the runs that are under way, and can be done twice", async () => {
    const { program, c, run } = await compileLongProduct();
    const running = run();
    await Promise.all([program.close(), program.close()]);
    expect(c.data[0]).toBeCloseTo(1 / 1024, 6);
    await running;
    await expect(run()).rejects.toEqual(code("handle-closed"));
  });

  it("an engine closes its programs, also those that are still being compiled", async () => {
    const other = await createNativeEngine();
    const program = await compileSum(other);
    const compiling = compileSum(other);
    await other.close();
    await other.close();
    const one = floats(new Float32Array(1));
    for (const closed of [program, await compiling])
      await expect(closed.run({ a: one, b: one }, { sum: one })).rejects.toEqual(code("handle-closed"));
    await expect(compileSum(other)).rejects.toEqual(code("handle-closed"));
  });

  it("one engine does not disturb another", async () => {
    const other = await createNativeEngine();
    const program = await compileSum();
    await other.close();
    const one = floats(Float32Array.of(1));
    await program.run({ a: one, b: one }, { sum: one });
    expect(one.data[0]).toBe(2);
    await program.close();
  });
});

describe("failures of the runtime", () => {
  it("of a damaged program are typed and keep its words", async () => {
    const program = { bytes: new Uint8Array(100).fill(7), inputs: [], outputs: [] };
    await expect(engine.compile(program)).rejects.toEqual(code("engine-failed"));
    await expect(engine.compile(program)).rejects.toThrow(/ONNX Runtime: .*[Pp]rotobuf/);
  });

  it("for want of memory say so", async () => {
    const x = input("x", "float32", [1]);
    const vast = sum(multiply(expand(x, [2 ** 44]), 2));
    const program = await compileProgram(engine, { outputs: { vast } });
    await expect(program.run({ x: floats(Float32Array.of(1)) })).rejects.toEqual(code("out-of-memory"));
    await program.close();
  });

  it.each([0, 1.5, -1, Number.NaN])("%s threads are refused", async (threads) => {
    const program = encodeProgram({ outputs: { y: negate(input("x", "float32", [1])) } });
    await expect(engine.compile(program, { threads })).rejects.toEqual(code("config-invalid"));
  });
});

describe("weights in a file", () => {
  const weight = Float32Array.of(1, 2, 3, 4);
  const program = { outputs: { y: gemm(input("x", "float32", ["rows", 2]), parameter("w", [2, 2])) } };
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "lingolens-engine-"));
    await writeFile(
      join(folder, "weights.bin"),
      Buffer.concat([Buffer.alloc(24, 255), Buffer.from(weight.buffer)]),
    );
  });
  afterAll(() => rm(folder, { recursive: true }));

  const options = (file: string, offset: number) => ({
    externalData: folder,
    weights: new Map([["w", { file, dtype: "float32" as const, offset, byteLength: 16 }]]),
  });

  it.each([true, false])("are read from where they lie, prepacked: %s", async (prepack) => {
    const compiled = await compileProgram(engine, program, {
      ...options("weights.bin", 24),
      prepack,
      threads: 1,
    });
    const { y } = await compiled.run({ x: floats(Float32Array.of(1, 0, 0, 1), [2, 2]) });
    expect([...y!.data]).toEqual([...weight]);
    const empty = await compiled.run({ x: floats(allocate("float32", 0) as Float32Array, [0, 2]) });
    expect(empty.y).toEqual(floats(new Float32Array(0), [0, 2]));
    await compiled.close();
  });

  it("that are not there are an error", async () => {
    for (const wrong of [options("weights.bin", 32), options("missing.bin", 0), options("../weights.bin", 0)])
      await expect(compileProgram(engine, program, wrong)).rejects.toEqual(code("engine-failed"));
  });
});
