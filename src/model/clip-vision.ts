import {
  add,
  concat,
  expand,
  gelu,
  gemm,
  multiplyDimensions,
  quickGelu,
  reshape,
  slice,
  type Tensor,
  transpose,
} from "../graph/index.js";
import { attention, mergeHeads, splitHeads } from "../nn/attention.js";
import { layerNorm } from "../nn/layer-norm.js";
import { linear, linears } from "../nn/linear.js";
import type { ParameterScope } from "../nn/parameters.js";
import type { VisionConfig } from "./config.js";

/**
 * The picture half of CLIP: "Learning Transferable Visual Models From Natural Language Supervision",
 * Radford et al. 2021 (arXiv 2103.00020), a Vision Transformer (Dosovitskiy et al. 2020, arXiv 2010.11929).
 */
export interface VisionOutputs {
  /** After `pre_layrnorm`, then after every layer: layers + 1 tensors [batch, positions, hidden]. */
  readonly hiddenStates: readonly Tensor[];
  /** [batch, positions, hidden], before `post_layernorm`: what the decoder looks at. */
  readonly lastHiddenState: Tensor;
  /** [batch, hidden]: the class position after `post_layernorm`. */
  readonly poolerOutput: Tensor;
}

/** @param pixelValues [batch, channels, size, size], normalised */
export function clipVision(scope: ParameterScope, config: VisionConfig, pixelValues: Tensor): VisionOutputs {
  let x = embedPicture(scope.at("embeddings"), config, pixelValues);
  x = layerNorm(scope.at("pre_layrnorm"), x, config.layerNormEps); // so spelt in every checkpoint
  const hiddenStates = [x];
  for (let layer = 0; layer < config.layers; layer++) {
    x = encoderLayer(scope.at(`encoder.layers.${layer}`), config, x);
    hiddenStates.push(x);
  }
  const classPosition = reshape(slice(x, 1, 0, 1), [x.shape[0]!, config.hiddenSize]);
  const poolerOutput = layerNorm(scope.at("post_layernorm"), classPosition, config.layerNormEps);
  return { hiddenStates, lastHiddenState: x, poolerOutput };
}

/** A learned class vector, then one vector per patch, each with the embedding of its position. */
function embedPicture(scope: ParameterScope, config: VisionConfig, pixelValues: Tensor): Tensor {
  const { hiddenSize, channels, imageSize, patchSize } = config;
  const batch = pixelValues.shape[0]!;
  const grid = imageSize / patchSize;
  const patchArea = channels * patchSize * patchSize;

  // A convolution whose stride is its kernel's size is a product of each patch with one matrix.
  let patches = reshape(pixelValues, [batch, channels, grid, patchSize, grid, patchSize]);
  patches = reshape(transpose(patches, [0, 2, 4, 1, 3, 5]), [
    multiplyDimensions(batch, grid * grid),
    patchArea,
  ]);
  const kernel = scope.get("patch_embedding.weight", [hiddenSize, channels, patchSize, patchSize]);
  patches = gemm(patches, reshape(kernel, [hiddenSize, patchArea]), undefined, { transposeB: true });
  patches = reshape(patches, [batch, grid * grid, hiddenSize]);

  const classEmbedding = expand(scope.get("class_embedding", [hiddenSize]), [batch, 1, hiddenSize]);
  const positions = scope.get("position_embedding.weight", [grid * grid + 1, hiddenSize]);
  return add(concat([classEmbedding, patches], 1), positions);
}

function encoderLayer(scope: ParameterScope, config: VisionConfig, input: Tensor): Tensor {
  let x = input;
  x = add(
    x,
    selfAttention(scope.at("self_attn"), config, layerNorm(scope.at("layer_norm1"), x, config.layerNormEps)),
  );
  x = add(x, mlp(scope.at("mlp"), config, layerNorm(scope.at("layer_norm2"), x, config.layerNormEps)));
  return x;
}

function selfAttention(scope: ParameterScope, { hiddenSize, heads }: VisionConfig, x: Tensor): Tensor {
  const [query, key, value] = linears(scope, ["q_proj", "k_proj", "v_proj"], x, hiddenSize).map((one) =>
    splitHeads(one, heads),
  ) as [Tensor, Tensor, Tensor];
  return linear(scope.at("out_proj"), mergeHeads(attention(query, key, value).output), hiddenSize);
}

function mlp(scope: ParameterScope, config: VisionConfig, x: Tensor): Tensor {
  const activation = config.activation === "quick_gelu" ? quickGelu : gelu;
  return linear(
    scope.at("fc2"),
    activation(linear(scope.at("fc1"), x, config.intermediateSize)),
    config.hiddenSize,
  );
}
