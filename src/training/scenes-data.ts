import { sceneCaption } from "../data/scenes/caption.js";
import { renderScene } from "../data/scenes/render.js";
import { sceneAt } from "../data/scenes/scene.js";
import type { Split } from "../data/scenes/splits.js";
import { preprocess } from "../image/preprocess.js";
import type { PreprocessorConfig } from "../image/preprocessor-config.js";
import type { Mbart50Tokenizer } from "../text/mbart50-tokenizer.js";
import type { CaptionedPicture } from "./batch.js";
import type { TrainingData } from "./data.js";

export interface ScenesDataOptions {
  readonly tokenizer: Mbart50Tokenizer;
  readonly preprocessor: PreprocessorConfig;
  readonly languages: readonly string[];
  readonly seed: number;
  readonly batchSize: number;
  /** First steps whose pictures may have two and three objects. */
  readonly twoObjectsFrom: number;
  readonly threeObjectsFrom: number;
  /** Pictures kept for evaluation. */
  readonly evaluateCount: number;
}

/** Scenes drawn when they are asked for. Those for evaluation are of the split `test`, with one, two and three objects. */
export function scenesData(options: ScenesDataOptions): TrainingData {
  const { tokenizer, preprocessor, languages, seed, batchSize, twoObjectsFrom, threeObjectsFrom } = options;
  const size = preprocessor.cropSize.width;

  const picture = (split: Split, index: number, objects: 1 | 2 | 3): CaptionedPicture => {
    const scene = sceneAt({ split, seed, index, objects, size });
    const captions = languages.map((language) =>
      tokenizer.encode(sceneCaption(scene, language).text, language),
    );
    return { pixelValues: preprocess(renderScene(scene), preprocessor).data, captions };
  };
  /** As many objects as the step allows, in turn: pairs twice as often, as they teach relations most plainly. */
  const objectsAt = (step: number, index: number): 1 | 2 | 3 => {
    const turns = [1, 2, 3, 2] as const;
    const most = step < twoObjectsFrom ? 1 : step < threeObjectsFrom ? 2 : 3;
    return Math.min(most, turns[index % turns.length]!) as 1 | 2 | 3;
  };

  return {
    validationCount: options.evaluateCount,
    batch: async (step) =>
      Array.from({ length: batchSize }, (_, i) => {
        const index = step * batchSize + i;
        return picture("train", index, objectsAt(step, index));
      }),
    validation: async (start, end) =>
      Array.from({ length: end - start }, (_, i) =>
        picture("test", start + i, (((start + i) % 3) + 1) as 1 | 2 | 3),
      ),
  };
}
