import type { HostTensor } from "../engine/engine.js";
import { grad, type Program, programParameters, reshape } from "../graph/index.js";
import { allLogits, CaptionerGraph, captionInputs } from "../model/captioner.js";
import type { CaptionerConfig } from "../model/config.js";
import { captionLoss } from "./loss.js";

/** Pictures with their captions, ready to be fed. */
export interface CaptionBatch {
  readonly [input: string]: HostTensor;
  /** [pictures, channels, size, size] */
  readonly pixelValues: HostTensor;
  /** [pictures, captions, length] */
  readonly decoderInputIds: HostTensor;
  /** [pictures, captions, length], padded with the padding id. */
  readonly labels: HostTensor;
  /** [length]: 0, 1, … */
  readonly positions: HostTensor;
}

/** Name of the output that holds a parameter's gradient. */
export const gradientName = (parameter: string): string => `gradient:${parameter}`;

/**
 * A batch's summed loss and the gradient of that sum for every parameter. Sums, not means: micro-batches and
 * machines with unequal numbers of tokens then add up to the mean over all tokens.
 */
export function trainProgram(config: CaptionerConfig, labelSmoothing = 0): Program {
  const graph = new CaptionerGraph(config);
  const { ids, labels, positions } = captionInputs();
  const { cross } = graph.encode(graph.pixelValues());
  const { lastHiddenState } = graph.decode({ ids, positions, cross });
  const logits = allLogits(graph, lastHiddenState);
  const lossSum = captionLoss(logits, reshape(labels, [logits.shape[0]!]), {
    padId: config.ids.pad,
    labelSmoothing,
  });

  // Parameters that the loss does not depend on, such as CLIP's last norm, have no gradient to compute.
  const used = [...programParameters({ outputs: { lossSum } })];
  const gradients = grad(
    lossSum,
    used.map(([, tensor]) => tensor),
  );
  return {
    outputs: { lossSum, ...Object.fromEntries(used.map(([name], i) => [gradientName(name), gradients[i]!])) },
  };
}
