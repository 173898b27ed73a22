import type { CompiledProgram } from "../engine/compile.js";
import type { HostTensor } from "../engine/engine.js";
import type { CaptionerConfig } from "../model/config.js";
import { makeBatch } from "./batch.js";
import type { TrainingData } from "./data.js";

export interface EvaluateLossOptions {
  /** Compiled `scoreOutputs` from pixel values. */
  readonly program: CompiledProgram;
  readonly parameters: Readonly<Record<string, HostTensor>>;
  readonly config: CaptionerConfig;
  readonly data: TrainingData;
  readonly languages: readonly string[];
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
  const { program, parameters, config, data, languages, batchSize, maxLength } = options;
  const sums = languages.map(() => ({ loss: 0, tokens: 0 }));
  for (let start = 0; start < data.validationCount; start += batchSize) {
    const pictures = await data.validation(start, Math.min(start + batchSize, data.validationCount));
    const batch = makeBatch(pictures, config, maxLength);
    const { logProbs } = await program.run({ ...parameters, ...batch });
    const [, captions, length] = batch.labels.shape as [number, number, number];
    const labels = batch.labels.data as BigInt64Array;
    labels.forEach((label, i) => {
      if (Number(label) === config.ids.pad) return;
      const language = sums[Math.floor(i / length) % captions]!;
      language.loss -= (logProbs!.data as Float32Array)[i]!;
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
