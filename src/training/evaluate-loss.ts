import type { CaptionerConfig } from "../model/config.js";
import { makeBatch } from "./batch.js";
import type { TrainingData } from "./data.js";
import type { EvaluationPrograms } from "./evaluation-programs.js";
import { lossTargets } from "./gradient-program.js";

export interface EvaluateLossOptions {
  readonly losses: EvaluationPrograms["losses"];
  readonly config: CaptionerConfig;
  readonly data: TrainingData;
  readonly languages: readonly string[];
  /** Pictures at a time. */
  readonly batchSize: number;
  readonly maxLength: number;
}

export interface EvaluationLoss {
  /** Mean over all tokens. */
  readonly loss: number;
  /** Mean over the tokens of each language that has any. */
  readonly languages: Readonly<Record<string, number>>;
}

/** Teacher-forced loss a token on the validation pictures, in all and per language. */
export async function evaluateLoss(options: EvaluateLossOptions): Promise<EvaluationLoss> {
  const { losses: lossesOf, config, data, languages, batchSize, maxLength } = options;
  const sums = languages.map(() => ({ loss: 0, tokens: 0 }));
  for (let start = 0; start < data.validationCount; start += batchSize) {
    const pictures = await data.validation(start, Math.min(start + batchSize, data.validationCount));
    if (pictures.length === 0) continue;
    const batch = makeBatch(pictures, config, maxLength);
    const targets = lossTargets(batch, config.ids.pad);
    const losses = await lossesOf(batch, targets);
    const [, captions, length] = batch.labels.shape as [number, number, number];
    targets.places.forEach((place, i) => {
      const language = sums[Math.floor(Number(place) / length) % captions]!;
      language.loss += losses[i]!;
      language.tokens += 1;
    });
  }
  const total = sums.reduce((a, b) => ({ loss: a.loss + b.loss, tokens: a.tokens + b.tokens }));
  return {
    loss: total.loss / total.tokens,
    languages: Object.fromEntries(
      languages.flatMap((language, i) =>
        sums[i]!.tokens > 0 ? [[language, sums[i]!.loss / sums[i]!.tokens]] : [],
      ),
    ),
  };
}
