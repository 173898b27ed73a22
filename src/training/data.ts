import type { CaptionedPicture } from "./batch.js";
import type { Share } from "./collective/collective.js";

/** Where training gets its pictures from. */
export interface TrainingData {
  /**
   * The pictures of optimiser step `step`, each with the captions that it learns from. The same step always gets the
   * same pictures, so that a resumed run sees what the uninterrupted one would have seen.
   * @param share which of them to make. Default: all
   */
  batch(step: number, share?: Share): Promise<CaptionedPicture[]>;
  /**
   * Pictures `start` to `end` of those kept for evaluation, without those that cannot be read; their captions in the
   * order of the recipe's languages, empty where a language is missing.
   */
  validation(start: number, end: number): Promise<CaptionedPicture[]>;
  readonly validationCount: number;
  /** Ends its threads. */
  close(): Promise<void>;
}
