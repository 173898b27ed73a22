import type { Split } from "../data/scenes/splits.js";
import type { CaptionedPicture } from "./batch.js";
import type { TrainingData } from "./data.js";
import type { SamplePool } from "./sample-pool.js";

export interface ScenesDataOptions {
  readonly languages: readonly string[];
  /** Width and height of the pictures. */
  readonly size: number;
  readonly seed: number;
  readonly batchSize: number;
  /** First steps whose pictures may have two and three objects. */
  readonly twoObjectsFrom: number;
  readonly threeObjectsFrom: number;
  /** Pictures kept for evaluation. */
  readonly evaluateCount: number;
  readonly pool: SamplePool;
}

/** Scenes drawn when they are asked for. Those for evaluation are of the split `test`, with one, two and three objects. */
export function scenesData(options: ScenesDataOptions): TrainingData {
  const { languages, size, seed, batchSize, twoObjectsFrom, threeObjectsFrom, pool } = options;

  const picture = (split: Split, index: number, objects: 1 | 2 | 3): Promise<CaptionedPicture> =>
    pool.make({ scene: { split, seed, index, objects, size }, languages });
  /** As many objects as the step allows, in turn: pairs twice as often, as they teach relations most plainly. */
  const objectsAt = (step: number, index: number): 1 | 2 | 3 => {
    const turns = [1, 2, 3, 2] as const;
    const most = step < twoObjectsFrom ? 1 : step < threeObjectsFrom ? 2 : 3;
    return Math.min(most, turns[index % turns.length]!) as 1 | 2 | 3;
  };

  return {
    validationCount: options.evaluateCount,
    batch: (step, { start, end } = { start: 0, end: batchSize }) =>
      Promise.all(
        Array.from({ length: end - start }, (_, i) => {
          const index = step * batchSize + start + i;
          return picture("train", index, objectsAt(step, index));
        }),
      ),
    validation: (start, end) =>
      Promise.all(
        Array.from({ length: end - start }, (_, i) =>
          picture("test", start + i, (((start + i) % 3) + 1) as 1 | 2 | 3),
        ),
      ),
    close: () => pool.close(),
  };
}
