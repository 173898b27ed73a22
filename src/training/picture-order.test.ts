import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Dataset, DatasetEntry } from "../data/dataset.js";
import { indexDataset, splitOff } from "./dataset-index.js";
import { PictureOrder } from "./picture-order.js";

/** A dataset whose blocks have so many pictures each; the caption's length is the picture's number, modulo 10. */
function dataset(sizes: readonly number[]): Dataset & { reads: number } {
  let number = 0;
  const lists = sizes.map((size) => Array.from({ length: size }, () => entry(number++)));
  const source = {
    path: "made up",
    reads: 0,
    async *blocks() {
      for (const list of lists)
        yield {
          async *entries() {
            source.reads += 1;
            yield* list;
          },
        };
    },
    async *entries() {
      yield* lists.flat();
    },
  };
  return source;
}

const entry = (number: number): DatasetEntry => ({
  image: `${number}`,
  imagePath: `/${number}`,
  captions: { en: ["x".repeat((number % 10) + 1)] },
  fields: {},
});

interface Settings {
  readonly sizes: readonly number[];
  readonly batchSize: number;
  readonly windowPictures: number;
  readonly seed: number;
}

async function orderOf({ sizes, ...options }: Settings) {
  const source = dataset(sizes);
  const index = await indexDataset(source, () => true);
  const order = new PictureOrder(index, {
    ...options,
    lengthsOf: async (entries) => entries.map(({ captions }) => captions.en![0]!.length),
  });
  return { source, order, batch: async (step: number) => names(await order.batch(step)) };
}

const names = ({ entries }: { entries: readonly DatasetEntry[] }) => entries.map(({ image }) => image);

const settings = fc.record({
  sizes: fc
    .array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 8 })
    .filter((sizes) => sizes.some(Boolean)),
  batchSize: fc.integer({ min: 1, max: 5 }),
  windowPictures: fc.integer({ min: 1, max: 30 }),
  seed: fc.nat(1000),
});

describe("PictureOrder", () => {
  it("gives a step the same pictures whatever was asked before", async () => {
    await fc.assert(
      fc.asyncProperty(
        settings,
        fc.array(fc.nat(60), { minLength: 1, maxLength: 12 }),
        async (options, steps) => {
          const { batch } = await orderOf(options);
          for (const step of steps) {
            const fresh = await orderOf(options);
            expect(await batch(step)).toEqual(await fresh.batch(step));
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  it("shows every picture at most once an epoch, all but what fills no batch, and others in the next", async () => {
    await fc.assert(
      fc.asyncProperty(settings, async ({ ...options }) => {
        const { order } = await orderOf(options);
        const total = options.sizes.reduce((a, b) => a + b);
        const epochs: string[][] = [[], []];
        for (let step = 0; ; step++) {
          const batch = await order.batch(step);
          expect(batch.entries).toHaveLength(options.batchSize);
          if (batch.epoch > 1) break;
          epochs[batch.epoch]!.push(...names(batch));
        }
        const windows = Math.max(1, Math.floor(total / options.windowPictures));
        for (const seen of epochs) {
          const lost = total - new Set(seen).size;
          expect(lost).toBeLessThanOrEqual(Math.min(windows, options.sizes.length) * (options.batchSize - 1));
          // Only a window that fills no batch shows a picture twice.
          if (options.sizes.every((size) => size >= options.batchSize))
            expect(new Set(seen).size).toBe(seen.length);
        }
      }),
      { numRuns: 100 },
    );
  });

  it("mixes blocks of a window, and orders each epoch anew", async () => {
    const { batch } = await orderOf({
      sizes: Array(20).fill(10),
      batchSize: 10,
      windowPictures: 100,
      seed: 1,
    });
    const blocksIn = (list: string[]) => new Set(list.map((name) => Math.floor(Number(name) / 10)));
    const epoch = await Promise.all(Array.from({ length: 20 }, (_, step) => batch(step)));
    const mean = epoch.reduce((sum, list) => sum + blocksIn(list).size, 0) / 20;
    expect(mean).toBeGreaterThan(4);
    // Two windows of ten blocks each.
    expect(blocksIn(epoch.slice(0, 10).flat()).size).toBe(10);
    const next = await Promise.all(Array.from({ length: 20 }, (_, step) => batch(step + 20)));
    expect(next).not.toEqual(epoch);
    expect(next.flat().sort()).toEqual(epoch.flat().sort());
  });

  it("makes batches alike in length: a tenth of the spread at most", async () => {
    const { order } = await orderOf({ sizes: [320], batchSize: 20, windowPictures: 320, seed: 3 });
    for (let step = 0; step < 16; step++) {
      const lengths = (await order.batch(step)).entries.map(({ captions }) => captions.en![0]!.length);
      expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1);
    }
  });

  it("reads the blocks of a window once, however many steps come from it", async () => {
    const { source, batch } = await orderOf({
      sizes: Array(40).fill(10),
      batchSize: 5,
      windowPictures: 100,
      seed: 1,
    });
    const before = source.reads;
    for (let step = 0; step < 80; step++) await batch(step);
    // An epoch's 40 blocks and, ahead, the ten or so of the next window.
    expect(source.reads - before).toBeLessThan(55);
  });

  it("names others to stand in for a picture, itself first, each of them once", async () => {
    for (const sizes of [[40], [4], [13]]) {
      const { order } = await orderOf({ sizes, batchSize: 4, windowPictures: 100, seed: 2 });
      const batch = await order.batch(1);
      const candidates = [...batch.candidates(2)].map(({ image }) => image);
      expect(candidates[0]).toBe(batch.entries[2]!.image);
      expect(candidates[1]).not.toBe(candidates[0]);
    }
  });
});

describe("splitOff", () => {
  it("takes the last pictures off, wherever blocks end, and leaves out what does not count", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(6), { minLength: 1, maxLength: 6 }),
        fc.nat(1000),
        async (sizes, number) => {
          const keep = ({ image }: DatasetEntry) => Number(image) % 3 !== 0;
          const all: string[] = [];
          for await (const one of dataset(sizes).entries()) if (keep(one)) all.push(one.image);
          const count = all.length === 0 ? 0 : number % (all.length + 1);
          const index = await indexDataset(dataset(sizes), keep);
          expect(index.count).toBe(all.length);
          const { rest, last } = await splitOff(index, count);
          expect(last.map(({ image }) => image)).toEqual(all.slice(all.length - count));
          expect(rest.count).toBe(all.length - count);
          if (rest.count === 0) return;
          const order = new PictureOrder(rest, {
            seed: 1,
            batchSize: 1,
            lengthsOf: async (entries) => entries.map(() => 0),
          });
          const seen = [];
          for (let step = 0; step < rest.count; step++) seen.push(...names(await order.batch(step)));
          expect(seen.sort()).toEqual(all.slice(0, all.length - count).sort());
        },
      ),
      { numRuns: 100 },
    );
  });
});
