import { ModelPrograms } from "../captioner/model-programs.js";
import { HostRunner, type ModelRunner } from "../captioner/model-runner.js";
import { compileProgram } from "../engine/compile.js";
import type { Engine } from "../engine/engine.js";
import type { CaptionerConfig } from "../model/config.js";
import { type LossTargets, lossFeeds } from "./gradient-program.js";
import type { FlatTensors } from "./parameters.js";
import { type CaptionBatch, lossProgram } from "./train-program.js";

/** What evaluation runs, with the parameters as they are at the moment. */
export interface EvaluationPrograms {
  /** Cross-entropy of each label that counts. */
  losses(batch: CaptionBatch, targets: LossTargets): Promise<Float32Array>;
  /** Runs the searches. */
  readonly runner: ModelRunner;
  close(): Promise<void>;
}

/** On an engine that reads parameters from where they are. */
export async function hostEvaluation(
  engine: Engine,
  config: CaptionerConfig,
  parameters: FlatTensors,
  threads: number,
): Promise<EvaluationPrograms> {
  const loss = await compileProgram(engine, lossProgram(config), { threads });
  const { tensors } = parameters;
  const weights = {
    config,
    locations: new Map(),
    converted: tensors,
    int8: new Set<string>(),
    size: Object.values(tensors).reduce((sum, { data }) => sum + data.length, 0),
  };
  const runner = new HostRunner(new ModelPrograms(engine, weights, { threads }));
  return {
    async losses(batch, targets) {
      const { losses } = await loss.run(lossFeeds(config, parameters, batch, targets));
      return losses!.data as Float32Array;
    },
    runner,
    close: async () => {
      await Promise.all([loss.close(), runner.close()]);
    },
  };
}
