import { afterAll, describe, expect, it } from "vitest";
import { memoryOf, sharedStretches } from "../shared-memory.js";
import { float32ToBfloat16 } from "../weights/half.js";
import { adamWLoop, adamWStep, globalNorm } from "./adamw.js";
import { shareOf } from "./collective/collective.js";
import { allocateTraining, type TrainingMemory } from "./parameters.js";
import {
  addLoop,
  copyLoop,
  roundFrozen,
  roundGathered,
  roundParameters,
  SharedLoops,
} from "./shared-loops.js";

/** Not a multiple of a vector nor of a piece. */
const LARGE = 5 * (1 << 18) + 7;
const options = { beta1: 0.9, beta2: 0.98, epsilon: 1e-8, weightDecay: 0.01 };

function memoryOfSize(count: number): TrainingMemory {
  const shapes = new Map([
    ["a", [count - 5]],
    ["b", [5]],
  ] as const);
  const memory = allocateTraining(shapes, shapes);
  const values = { parameters: 0.02, gradients: 3, mean: 0.01, square: 1e-4 };
  for (const [i, [kind, size]] of Object.entries(values).entries()) {
    const stretch = memory[kind as keyof TrainingMemory].stretches[0]!;
    for (let j = 0; j < stretch.length; j++) {
      const value = size * Math.sin(j * (i + 1.7) + i);
      stretch[j] = kind === "square" ? Math.abs(value) : value;
    }
  }
  memory.gradients.stretches[0]![3] = 0;
  return memory;
}

const all = ({ parameters, gradients, mean, square }: TrainingMemory) =>
  [parameters, gradients, mean, square].map(({ stretches }) => Buffer.from(stretches[0]!.slice().buffer));

const opened: SharedLoops[] = [];
function loopsOf(threads: number): SharedLoops {
  opened.push(new SharedLoops(threads));
  return opened.at(-1)!;
}
afterAll(() => Promise.all(opened.map((loops) => loops.close())));

/** The loop in one piece, in plain JavaScript. */
function plainStep(memory: TrainingMemory, step: number): void {
  const { beta1, beta2, epsilon, weightDecay } = options;
  const arrays = [memory.parameters, memory.gradients, memory.mean, memory.square].map(
    (t) => t.stretches[0]!,
  );
  const corrections = [1 / (1 - beta1 ** step), 1 / (1 - beta2 ** step)];
  const numbers = [0.25, beta1, 1 - beta1, beta2, 1 - beta2, epsilon, weightDecay, 1e-3, ...corrections];
  adamWLoop.run(arrays, numbers, 0, arrays[0]!.length);
}

describe("AdamW", () => {
  it.each([
    [1000, 1],
    [LARGE, 2],
  ])("writes copies of %i parameters in bf16 in %i threads", async (count, threads) => {
    const shapes = new Map([
      ["frozen", [7]],
      ["a", [count - 5]],
      ["b", [5]],
    ] as const);
    const trained = new Map([...shapes].filter(([name]) => name !== "frozen"));
    const memory = allocateTraining(shapes, trained, undefined, true);
    const { tensors, stretches } = memory.parameters;
    for (const { data } of Object.values(tensors))
      for (let i = 0; i < data.length; i++) data[i] = Math.sin(i);
    memory.gradients.stretches[0]!.fill(0.5);
    const loops = loopsOf(threads);

    /** How many copies are not the nearest number of 8 bits, the even one of two. */
    const wrong = () =>
      Object.values(tensors).reduce((sum, { data, rounded }) => {
        const expected = float32ToBfloat16(data);
        return sum + rounded!.reduce((count, bits, i) => count + (bits === expected[i] ? 0 : 1), 0);
      }, 0);
    roundFrozen(memory);
    await roundParameters(loops, memory.parameters);
    expect(wrong()).toBe(0);
    const before = stretches[0]![0];
    await adamWStep(loops, memory, 1, options, 1e-2);
    expect(stretches[0]![0]).not.toBe(before);
    expect(wrong()).toBe(0);
  });

  it("writes a copy that lies in other memory", async () => {
    const [memory, plain] = [memoryOfSize(LARGE), memoryOfSize(LARGE)];
    const copy = new Uint16Array(new SharedArrayBuffer(2 * LARGE));
    const { stretches } = memory.parameters;
    await adamWStep(
      loopsOf(2),
      { ...memory, parameters: { stretches, rounded: [copy] } },
      1,
      options,
      1e-3,
      0.25,
    );
    plainStep(plain, 1);
    const expected = all(plain);
    expect(all(memory).every((bytes, i) => bytes.equals(expected[i]!))).toBe(true);
    expect(
      Buffer.from(copy.slice().buffer).equals(Buffer.from(float32ToBfloat16(stretches[0]!).buffer)),
    ).toBe(true);
  });

  it.each([0, 1, 2])("leaves to rank %i of 3 the copies of what the others have updated", async (rank) => {
    const shapes = new Map([["a", [LARGE]]] as const);
    const { parameters } = allocateTraining(shapes, shapes, undefined, true);
    const [stretch, copy] = [parameters.stretches[0]!, parameters.rounded![0]!];
    for (let i = 0; i < LARGE; i++) stretch[i] = Math.sin(i) + 2;
    await roundGathered(loopsOf(2), parameters, { rank, size: 3 });
    const { start, end } = shareOf(LARGE, { rank, size: 3 });
    const expected = float32ToBfloat16(stretch).fill(0, start, end);
    expect(Buffer.from(copy.slice().buffer).equals(Buffer.from(expected.buffer))).toBe(true);
  });

  it.each([1, 2, 3, 8])("in %i threads and WebAssembly has the bits of one plain loop", async (threads) => {
    const [threaded, plain] = [memoryOfSize(LARGE), memoryOfSize(LARGE)];
    expect(memoryOf(threaded.parameters.stretches[0]!)).toBeDefined();
    const before = all(plain)[0]!;
    for (const step of [1, 2]) {
      await adamWStep(loopsOf(threads), threaded, step, options, 1e-3, 0.25);
      plainStep(plain, step);
    }
    const [result, expected] = [all(threaded), all(plain)];
    result.forEach((bytes, i) => {
      expect(bytes.equals(expected[i]!), `array ${i}`).toBe(true);
    });
    expect(result[0]!.equals(before)).toBe(false);
  });

  it("of a few numbers too, which no thread is started for", async () => {
    const [small, plain] = [memoryOfSize(1001), memoryOfSize(1001)];
    await adamWStep(loopsOf(1), small, 1, options, 1e-3, 0.25);
    plainStep(plain, 1);
    expect(all(small)).toEqual(all(plain));
  });
});

describe("the gradient's norm", () => {
  it("is the same bits whatever the threads, and near the plain sum", async () => {
    const { gradients } = memoryOfSize(LARGE);
    const norms = [];
    for (const threads of [1, 2, 5]) norms.push(await globalNorm(loopsOf(threads), gradients));
    expect(new Set(norms).size).toBe(1);
    const plain = Math.sqrt(gradients.stretches[0]!.reduce((sum, x) => sum + x * x, 0));
    expect(norms[0]! / plain).toBeCloseTo(1, 12);
  });

  it.each([0, 1 << 20, LARGE - 1])("is not finite where number %i is not", async (at) => {
    const { gradients } = memoryOfSize(LARGE);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      gradients.stretches[0]![at] = bad;
      expect(Number.isFinite(await globalNorm(loopsOf(2), gradients))).toBe(false);
    }
  });
});

describe("loops", () => {
  it("add and copy every element, several asked for at once", async () => {
    const stretches = sharedStretches([LARGE, LARGE, LARGE]);
    const [a, b, c] = stretches.map((stretch) => ({ stretches: [stretch] }));
    stretches[0]!.fill(1);
    stretches[1]!.fill(2);
    const loops = loopsOf(2);
    await Promise.all([loops.run(addLoop, [a!, b!]), loops.run(copyLoop, [c!, a!])]);
    expect(stretches[0]!.every((x) => x === 3)).toBe(true);
    expect(stretches[2]!.every((x) => x === 3)).toBe(true);
  });

  it("pass on what a thread throws", async () => {
    const [stretch] = sharedStretches([LARGE]);
    const broken = { run: () => unknownName };
    await expect(loopsOf(2).run(broken, [{ stretches: [stretch!] }])).rejects.toThrow(
      "unknownName is not defined",
    );
  });
});

declare const unknownName: number;
