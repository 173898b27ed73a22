import { afterAll, describe, expect, it, vi } from "vitest";
import {
  add,
  constant,
  gather,
  gelu,
  gemm,
  grad,
  input,
  layerNorm,
  matMul,
  multiply,
  type Program,
  parameter,
  quickGelu,
  reshape,
  softmax,
  sum,
  swapLast,
  type Tensor,
  transpose,
} from "../../graph/index.js";
import { roundNumbers } from "../../training/shared-loops.js";
import { compileProgram, type HostTensors } from "../compile.js";
import type { Engine } from "../engine.js";
import { createNativeEngine } from "../native.js";
import { createBf16Engine } from "./bf16-engine.js";

const bf16 = await createBf16Engine().catch(() => undefined);
const native = await createNativeEngine();
afterAll(() => Promise.all([bf16?.close(), native.close()]));

async function results(engine: Engine, program: Program, feeds: HostTensors): Promise<HostTensors> {
  const compiled = await compileProgram(engine, program, {
    threads: 2,
    dtype: engine === bf16 ? "bf16" : "fp32",
  });
  const first = await compiled.run(feeds);
  const second = await compiled.run(feeds);
  expect(second).toEqual(first);
  await compiled.close();
  return first;
}

function numbers(shape: readonly number[], seed = 1) {
  let state = seed;
  const next = () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647 - 0.5;
  };
  const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, next);
  return { dtype: "float32" as const, shape, data };
}

/** Largest difference, of the largest value. */
function distance(a: HostTensors[string], b: HostTensors[string]): number {
  const [x, y] = [a!.data as Float32Array, b!.data as Float32Array];
  expect(a!.shape).toEqual(b!.shape);
  const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return x.reduce((most, value, i) => Math.max(most, Math.abs(value - y[i]!)), 0) / largest;
}

/** The unit roundoff of bf16 is 1/256; sums of many products err by less than that of their size. */
const CLOSE = 0.01;

describe.skipIf(!bf16)("products in bf16", () => {
  const x = input("x", "float32", ["pictures", "length", 24]);
  const weight = parameter("weight", [40, 24]);
  const bias = parameter("bias", [40]);
  const feeds = { x: numbers([3, 5, 24]), weight: numbers([40, 24], 2), bias: numbers([40], 3) };

  async function compare(outputs: Program["outputs"], fed: HostTensors = feeds): Promise<void> {
    const exact = await results(native, { outputs }, fed);
    const rounded = await results(bf16!, { outputs }, fed);
    for (const name of Object.keys(outputs))
      expect(distance(exact[name]!, rounded[name]!), name).toBeLessThan(CLOSE);
  }

  it("gives about what float32 gives, with its gradients", async () => {
    const rows = reshape(x, ["length*pictures", 24]);
    const hidden = gelu(reshape(gemm(rows, weight, bias, { transposeB: true }), ["pictures", "length", 40]));
    const scores = matMul(hidden, swapLast(hidden));
    const y = matMul(softmax(scores), hidden);
    const loss = sum(multiply(y, y));
    const [dx, dWeight, dBias] = grad(loss, [x, weight, bias]);
    await compare({ loss, y, dx: dx!, dWeight: dWeight!, dBias: dBias! });
  });

  it("reads matrices turned over, reshaped and both", async () => {
    const rows = reshape(x, ["length*pictures", 24]);
    const turned = swapLast(rows);
    const third = transpose(reshape(rows, [1, "length*pictures", 24]), [0, 2, 1]);
    await compare({
      ofBoth: matMul(turned, rows),
      again: gemm(turned, reshape(third, [24, "length*pictures"]), undefined, { transposeB: true }),
      first: gemm(rows, weight, undefined, { transposeB: true }),
      flat: reshape(matMul(weight, turned), [40, "pictures", "length"]),
    });
  });

  it("gives one tensor under several names, inputs and constants", async () => {
    const rows = reshape(x, ["length*pictures", 24]);
    const product = gemm(rows, weight, bias, { transposeB: true });
    await compare({
      product,
      same: product,
      reshaped: reshape(product, ["pictures", "length", 40]),
      input: x,
      constant: constant(3),
      more: add(product, 1),
    });
  });

  it("takes sizes that change from run to run", async () => {
    const rows = reshape(x, ["length*pictures", 24]);
    const program = { outputs: { y: softmax(gemm(rows, weight, bias, { transposeB: true })) } };
    const [exact, rounded] = await Promise.all([
      compileProgram(native, program),
      compileProgram(bf16!, program, { dtype: "bf16" }),
    ]);
    for (const [pictures, length] of [
      [3, 5],
      [1, 1],
      [7, 9],
      [3, 5],
    ] as const) {
      const fed = { ...feeds, x: numbers([pictures, length, 24], pictures) };
      const [a, b] = await Promise.all([exact!.run(fed), rounded!.run(fed)]);
      expect(distance(a.y!, b.y!)).toBeLessThan(CLOSE);
    }
    await Promise.all([exact!.close(), rounded!.close()]);
  });

  it("takes inputs that are rounded already for what it would round them to", async () => {
    const rows = reshape(x, ["length*pictures", 24]);
    const program = { outputs: { y: gemm(rows, weight, bias, { transposeB: true }) } };
    const { data } = feeds.weight;
    const copy = new Uint16Array(data.length);
    roundNumbers(data, copy, 0, data.length);
    const without = await results(bf16!, program, feeds);
    const withCopy = await results(bf16!, program, { ...feeds, weight: { ...feeds.weight, rounded: copy } });
    expect(withCopy).toEqual(without);
    const zeros = { ...feeds.weight, rounded: new Uint16Array(data.length) };
    const other = await results(bf16!, program, { ...feeds, weight: zeros });
    expect(other).not.toEqual(without);
    const short = { ...feeds.weight, rounded: new Uint16Array(3) };
    await expect(results(bf16!, program, { ...feeds, weight: short })).rejects.toMatchObject({
      code: "shape-mismatch",
    });
  });

  it("computes activations and what is read turned over within products, the next of which reads them rounded", async () => {
    const rows = reshape(x, ["length*pictures", 24]);
    const hidden = gemm(rows, weight, bias, { transposeB: true });
    const down = parameter("down", [24, 40]);
    await compare(
      {
        gelu: gemm(gelu(hidden), down, undefined, { transposeB: true }),
        quickGelu: matMul(quickGelu(reshape(hidden, ["pictures*length", 40])), swapLast(down)),
        alone: quickGelu(gemm(rows, weight, undefined, { transposeB: true })),
        turned: swapLast(matMul(weight, swapLast(rows))),
        chained: gemm(gemm(rows, weight, bias, { transposeB: true }), down, undefined, { transposeB: true }),
      },
      { ...feeds, down: numbers([24, 40], 4) },
    );
  });

  it("keeps constants as it needs them, for all programs over them, with the bits of what is fed", async () => {
    const rows = reshape(x, ["length*pictures", 24]);
    const product = gemm(rows, weight, bias, { transposeB: true });
    const ids = input("ids", "int64", ["n"]);
    const programs = {
      product: { outputs: { product } },
      both: {
        outputs: {
          gathered: gather(weight, ids),
          product: gelu(product),
          first: matMul(weight, gemm(swapLast(rows), rows)),
        },
      },
    };
    const given = {
      x: feeds.x,
      ids: { dtype: "int64", shape: [2], data: BigInt64Array.of(39n, 0n) } as const,
    };
    const constants = vi.fn(async (name: string) => feeds[name as "weight" | "bias"].data.slice());
    for (const program of Object.values(programs)) {
      const fed = await results(bf16!, program, { ...feeds, ...given });
      const compiled = await compileProgram(bf16!, program, { threads: 2, dtype: "bf16", constants });
      expect(await compiled.run(given)).toEqual(fed);
      const more = { ...given, x: numbers([70, 5, 24], 5) };
      const fedMore = await results(bf16!, program, { ...feeds, ...more });
      expect(await compiled.run(more)).toEqual(fedMore);
      await compiled.close();
    }
    expect(constants.mock.calls.flat().sort()).toEqual(["bias", "weight", "weight"]);
  });

  it("computes the layers of a transformer as float32 does, with weights that are fed and that are constants", async () => {
    const [width, length] = [16, 36];
    const shapes = new Map<string, readonly number[]>();
    const get = (name: string, shape: readonly number[]) => {
      shapes.set(name, shape);
      return parameter(name, shape);
    };
    const linear = (name: string, y: Tensor, [columns, inner]: readonly [number, number]) =>
      gemm(y, get(`${name}.weight`, [columns, inner]), get(`${name}.bias`, [columns]), { transposeB: true });
    const norm = (name: string, y: Tensor) =>
      layerNorm(y, get(`${name}.weight`, [width]), get(`${name}.bias`, [width]), 1e-5);
    const heads = (y: Tensor) => transpose(reshape(y, ["pictures", length, 4, 4]), [0, 2, 1, 3]);
    const pixels = input("pixels", "float32", ["pictures", 4, length, 6]);
    const patches = reshape(transpose(pixels, [0, 2, 1, 3]), [`${length}*pictures`, 24]);
    let y = linear("patches", patches, [width, 24]);
    for (const layer of ["first", "second"]) {
      const before = norm(`${layer}.before`, y);
      const [q, k, v] = ["q", "k", "v"].map((name) =>
        heads(linear(`${layer}.${name}`, before, [width, width])),
      ) as [Tensor, Tensor, Tensor];
      const weights = softmax(matMul(multiply(q, 0.5), swapLast(k)));
      const merged = reshape(transpose(matMul(weights, v), [0, 2, 1, 3]), [`${length}*pictures`, width]);
      y = add(y, linear(`${layer}.out`, merged, [width, width]));
      const hidden = quickGelu(linear(`${layer}.up`, norm(`${layer}.after`, y), [2048, width]));
      y = add(y, linear(`${layer}.down`, hidden, [width, 2048]));
    }
    const program = { outputs: { keys: heads(linear("keys", y, [width, width])), half: multiply(y, 0.5) } };
    const weights = Object.fromEntries(
      [...shapes].map(([name, shape], i) => [name, numbers(shape, i + 1)] as const),
    );
    const constants = async (name: string) => weights[name]!.data.slice();
    const compiled = await compileProgram(bf16!, program, { threads: 2, dtype: "bf16", constants });
    for (const pictures of [3, 1, 7]) {
      const given = { pixels: numbers([pictures, 4, length, 6], pictures) };
      const exact = await results(native, program, { ...given, ...weights });
      const fed = await results(bf16!, program, { ...given, ...weights });
      const constant = await compiled.run(given);
      expect(await compiled.run(given)).toEqual(constant);
      for (const name of ["keys", "half"]) {
        expect(distance(exact[name]!, fed[name]!), name).toBeLessThan(CLOSE);
        expect(distance(exact[name]!, constant[name]!), name).toBeLessThan(CLOSE);
      }
    }
    await compiled.close();
  });

  it("computes two runs at once", async () => {
    const rows = reshape(x, ["length*pictures", 24]);
    const program = { outputs: { y: softmax(gemm(rows, weight, bias, { transposeB: true })) } };
    const compiled = await compileProgram(bf16!, program, { dtype: "bf16" });
    const fed = [1, 2, 3, 4, 5].map((seed) => ({ ...feeds, x: numbers([3, 5, 24], seed) }));
    const alone = [];
    for (const one of fed) alone.push(await compiled.run(one));
    expect(await Promise.all(fed.map((one) => compiled.run(one)))).toEqual(alone);
    await compiled.close();
    await expect(compiled.run(feeds)).rejects.toMatchObject({ code: "handle-closed" });
  });

  it("fails with what ONNX Runtime says where a segment fails, and runs on", async () => {
    const ids = input("ids", "int64", ["n"]);
    const table = gemm(reshape(x, ["length*pictures", 24]), weight, bias, { transposeB: true });
    const compiled = await compileProgram(bf16!, { outputs: { y: gather(table, ids) } }, { dtype: "bf16" });
    const at = (id: bigint) => ({
      ...feeds,
      ids: { dtype: "int64", shape: [1], data: BigInt64Array.of(id) } as const,
    });
    await expect(compiled.run(at(1000n))).rejects.toMatchObject({ code: "engine-failed" });
    expect((await compiled.run(at(3n))).y!.shape).toEqual([1, 40]);
    await compiled.close();
  });
});
