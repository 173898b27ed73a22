import type { CaptionedPicture } from "./batch.js";
import type { EvaluationPrograms } from "./evaluation-programs.js";
import type { GradientTotal } from "./gradient-program.js";

/**
 * Where a model is trained: it keeps parameters and moments, computes gradients and takes the optimiser's steps.
 * `TrainingMemory` is what checkpoints are written from; `bringHome` makes it what the learner has.
 */
export interface Learner {
  /**
   * Computes the gradient of the pictures' summed loss, for `norm` and `update`.
   * @param step the optimiser step that they are of
   * @param first where in that step's pictures they begin
   */
  gradient(pictures: readonly CaptionedPicture[], step: number, first: number): Promise<GradientTotal>;
  /** Norm of that gradient; not finite where the gradient is not. */
  norm(): Promise<number>;
  /**
   * AdamW's step with it.
   * @param step 1 for the first
   * @param scale what the gradient is multiplied by first
   */
  update(step: number, learningRate: number, scale: number): Promise<void>;
  /** Brings the training memory up to date. */
  bringHome(): Promise<void>;
  /** Programs for evaluation, which read the parameters from where the learner has them. */
  evaluation(): Promise<EvaluationPrograms>;
  /**
   * Multiplications and additions a second of a matrix product by itself.
   * @param rows of the product, such as the tokens of a batch
   */
  productSpeed(rows: number): Promise<number>;
  close(): Promise<void>;
}
