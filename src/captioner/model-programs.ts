import type { Engine } from "../engine/engine.js";
import {
  type ProgramOutputs,
  Programs,
  type ProgramsOptions,
  type ProgramWeights,
} from "../engine/programs.js";
import {
  attentionOutputs,
  decodeOutputs,
  encodeOutputs,
  logitsOutputs,
  scoreOutputs,
  weightInputOutputs,
} from "../model/captioner.js";
import type { CaptionerConfig } from "../model/config.js";

export type ProgramName = "encode" | "decode" | "attention" | "logits" | "weightInputs" | "score";

const OUTPUTS: ProgramOutputs<CaptionerConfig, ProgramName> = {
  encode: encodeOutputs,
  decode: decodeOutputs,
  attention: attentionOutputs,
  logits: logitsOutputs,
  weightInputs: weightInputOutputs,
  score: (config, int8) => scoreOutputs(config, "cross", int8),
};

/** The programs of a captioner; those that run for every caption keep rearranged copies of their weights. */
export class ModelPrograms extends Programs<CaptionerConfig, ProgramName> {
  constructor(engine: Engine, weights: ProgramWeights<CaptionerConfig>, options?: ProgramsOptions) {
    super(engine, weights, OUTPUTS, ["encode", "decode"], options);
  }
}
