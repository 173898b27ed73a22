import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, HostTensor } from "../engine/engine.js";
import { createNativeEngine } from "../engine/native.js";
import { randomNumbers } from "../model/random.js";
import { gradientError } from "./finite-differences.js";
import * as g from "./index.js";
import type { Tensor } from "./tensor.js";

let engine: Engine;
beforeAll(async () => {
  engine = await createNativeEngine();
});
afterAll(() => engine.close());

const size = fc.integer({ min: 1, max: 4 });
const anyShape = fc.array(size, { minLength: 1, maxLength: 4 });
/** A shape and another that broadcasts with it: some axes 1, some leading ones left out. */
const broadcastPair = anyShape.chain((shape) =>
  fc
    .tuple(
      fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
      fc.nat(shape.length - 1),
    )
    .map(([ones, drop]) => [shape, shape.map((d, i) => (ones[i] ? 1 : d)).slice(drop)] as const),
);
const seed = fc.integer();
const away = (random: () => number) => (random() < 0.5 ? -1 : 1) * (0.4 + random()); // from kinks and poles
const positive = (random: () => number) => 0.5 + random();
const int64 = (shape: number[], data: number[]): HostTensor => ({
  dtype: "int64",
  shape,
  data: BigInt64Array.from(data, BigInt),
});

/** Checks an op on random shapes; every build must agree with finite differences. */
async function check<T>(
  shapes: fc.Arbitrary<T>,
  of: (shapes: T, random: () => number) => Omit<Parameters<typeof gradientError>[1], "random">,
): Promise<void> {
  const property = fc.asyncProperty(shapes, seed, async (drawn, start) => {
    const random = randomNumbers(start);
    expect(await gradientError(engine, { random, ...of(drawn, random) })).toBeLessThan(5e-3);
  });
  await fc.assert(property, { numRuns: 12 });
}

describe("gradients agree with finite differences", () => {
  const unary: [string, (x: Tensor) => Tensor, ((random: () => number) => number)?][] = [
    ["negate", g.negate],
    ["exp", g.exp],
    ["log", g.log, positive],
    ["sqrt", g.sqrt, positive],
    ["sigmoid", g.sigmoid],
    ["erf", g.erf],
    ["gelu", g.gelu],
    ["quickGelu", g.quickGelu],
    ["softmax", (x) => g.softmax(x)],
    ["softmax along the first axis", (x) => g.softmax(x, 0)],
    ["sum of all", (x) => g.sum(x)],
    ["sum, axis kept", (x) => g.sum(x, { axes: [-1], keepDims: true })],
    ["mean of the first axis", (x) => g.mean(x, { axes: [0] })],
    ["logSumExp", (x) => g.logSumExp(x, { axes: [-1] })],
    ["pad", (x) => g.pad(x, 0, 1, 2)],
    ["flattening reshape", (x) => g.reshape(x, [g.elementCount(x.shape)])],
    ["expand", (x) => g.expand(x, [3, ...x.shape])],
    ["transpose", (x) => g.transpose(x, [...x.shape.keys()].reverse())],
    ["a tensor used twice", (x) => g.add(g.multiply(x, x), x)],
  ];
  it.each(unary)("%s", async (_, build, value) => {
    await check(anyShape, (shape) => ({ shapes: [shape], build, ...(value && { value }) }));
  });

  const binary: [string, (a: Tensor, b: Tensor) => Tensor][] = [
    ["add", g.add],
    ["subtract", g.subtract],
    ["multiply", g.multiply],
    ["divide", g.divide],
    // The factor keeps the two apart: where they meet, there is no derivative.
    ["maximum", (a, b) => g.maximum(a, g.multiply(b, 4))],
    ["where", (a, b) => g.where(g.lessOrEqual(g.constant(0), a), a, b)],
  ];
  it.each(binary)("%s, broadcast either way", async (_, build) => {
    await check(broadcastPair, ([a, b]) => ({ shapes: [a, b], build, value: away }));
    await check(broadcastPair, ([a, b]) => ({ shapes: [b, a], build, value: away }));
  });

  it("matMul, leading axes broadcast", async () => {
    await check(fc.tuple(broadcastPair, size, size, size), ([[a, b], m, k, n]) => ({
      shapes: [
        [...a, m, k],
        [...b, k, n],
      ],
      build: g.matMul,
    }));
  });

  it("gemm, with every transposition and a bias", async () => {
    await check(
      fc.tuple(size, size, size, fc.boolean(), fc.boolean()),
      ([m, k, n, transposeA, transposeB]) => ({
        shapes: [transposeA ? [k, m] : [m, k], transposeB ? [n, k] : [k, n], [n]],
        build: (a, b, bias) => g.gemm(a!, b!, bias, { transposeA, transposeB }),
      }),
    );
  });

  it("layerNorm", async () => {
    await check(fc.tuple(anyShape, fc.integer({ min: 4, max: 8 })), ([rows, width]) => ({
      shapes: [[...rows, width], [width], [width]],
      build: (x, weight, bias) => g.layerNorm(x!, weight!, bias!, 1e-2),
    }));
  });

  it("concat and slice", async () => {
    await check(fc.tuple(size, size, size), ([rows, a, b]) => ({
      shapes: [
        [rows, a],
        [rows, b],
      ],
      build: (x, y) => g.slice(g.concat([x!, y!, x!], 1), 1, 1, 2 * a + b),
    }));
  });

  it("gather, the same row more than once", async () => {
    await check(
      fc.tuple(size, size, fc.array(fc.nat(), { minLength: 1, maxLength: 6 })),
      ([rows, width, drawn]) => ({
        shapes: [[rows, width]],
        fixed: {
          ids: int64(
            [drawn.length],
            drawn.map((id) => id % rows),
          ),
        },
        build: (table) => g.gather(table!, g.input("ids", "int64", [drawn.length])),
      }),
    );
  });

  it("gatherElements and scatterAdd", async () => {
    await check(fc.tuple(size, size, size), ([rows, width, count], random) => {
      const data = Array.from({ length: rows * count }, () => Math.floor(random() * width));
      return {
        shapes: [[rows, width]],
        fixed: { ids: int64([rows, count], data) },
        build: (x) => g.gatherElements(x!, g.input("ids", "int64", [rows, count]), 1),
      };
    });
    await check(fc.tuple(size, size, size), ([rows, width, count], random) => {
      const data = Array.from({ length: rows * count }, () => Math.floor(random() * width));
      return {
        shapes: [[rows, count]],
        fixed: { ids: int64([rows, count], data) },
        build: (updates) => g.scatterAdd([rows, width], g.input("ids", "int64", [rows, count]), updates!, 1),
      };
    });
  });

  it("named dimensions, where every size is found when the program runs", async () => {
    await check(fc.tuple(size, size), ([batch, length]) => ({
      shapes: [
        ["batch", "length", 4],
        ["length", 4],
      ],
      sizes: new Map([
        ["batch", batch],
        ["length", length],
      ]),
      build: (x, positions) => {
        const moved = g.add(x!, positions!);
        const doubled = g.concat([moved, moved], 1);
        const rows = g.reshape(doubled, [g.multiplyDimensions("batch", "length", 2), 4]);
        return g.softmax(
          g.mean(g.slice(g.reshape(rows, doubled.shape), 1, "length", g.addDimensions("length", "length")), {
            axes: [1],
          }),
        );
      },
    }));
  });
});

describe("grad", () => {
  it("gives zeros for what the loss does not depend on", () => {
    const [x, y] = [g.input("x", "float32", [2]), g.input("y", "float32", [3])];
    const [, dy] = g.grad(g.sum(x), [x, y]) as [Tensor, Tensor];
    expect(dy.shape).toEqual([3]);
    expect(g.grad(g.sum(x), [y])[0]!.node.op.name).toBe("expand");
  });

  it("refuses a loss that is not a scalar", () => {
    const x = g.input("x", "float32", [2]);
    expect(() => g.grad(x, [x])).toThrow(/expected a float32 scalar; got float32\[2\]/);
  });
});

describe("wrong shapes fail when the graph is built", () => {
  const x = g.input("x", "float32", ["batch", 3]);
  it.each([
    [
      "add",
      () => g.add(x, g.input("y", "float32", [4])),
      /add: expected .*broadcast; got float32\[batch, 3\], float32\[4\]/,
    ],
    [
      "matMul",
      () => g.matMul(x, g.input("y", "float32", [4, 2])),
      /matMul: expected .*got float32\[batch, 3\]/,
    ],
    [
      "gemm",
      () => g.gemm(x, g.input("y", "float32", [4, 2])),
      /gemm: expected matrices \[m, k\] and \[k, n\]/,
    ],
    ["reshape", () => g.reshape(x, ["batch", 4]), /reshape: expected as many elements as \[batch, 4\]/],
    ["concat", () => g.concat([x, g.input("y", "float32", ["batch", 3, 1])], 1), /concat: expected/],
    ["layerNorm", () => g.layerNorm(x, g.constant(1), g.constant(1), 1e-5), /layerNorm: expected/],
    ["gather", () => g.gather(x, x), /gather: expected .*int64 ids/],
    [
      "addRows",
      () => g.addRows(x, g.input("ids", "int64", ["n"]), g.input("rows", "float32", ["m", 3])),
      /addRows: expected .*got float32\[batch, 3\], int64\[n\], float32\[m, 3\]/,
    ],
    ["an axis", () => g.softmax(x, 2), /axis 2 does not exist in a tensor of rank 2/],
    [
      "two lengths",
      () => g.add(x, g.input("y", "float32", ["length", 3])),
      /got float32\[batch, 3\], float32\[length, 3\]/,
    ],
  ])("%s", (_, build, message) => {
    expect(build).toThrow(message);
  });
});
