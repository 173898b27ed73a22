/**
 * What the captioner has and Hugging Face's `VisionEncoderDecoderModel` of CLIP and mBART has not: folded into weights
 * that both have, so that the logits stay what they were but for rounding.
 */
import { throwIfCancelled } from "../errors.js";
import type { CaptionerConfig } from "../model/config.js";
import { type Parameter, type Parameters, withChanged } from "./parameters.js";

export interface FoldedModel {
  readonly config: CaptionerConfig;
  readonly parameters: Parameters;
  /** The output layer [vocabulary, hidden], where it is not the embedding. */
  readonly head?: Parameter;
}

const EMBEDDING = "model.shared.weight";
const LOGITS_BIAS = "final_logits_bias";
const PROJECTION = "model.visual_projection";
const FINAL_NORM = "model.decoder.layer_norm";

/** The epsilon of PyTorch's mBART, which no config changes. */
const PYTORCH_EPSILON = 1e-5;

/**
 * Another epsilon of the decoder's norms than PyTorch's. With s = √(1e-5 / ε), (x − μ) / √(σ² + ε) is what the norm
 * with 1e-5 gives of s·x. So everything that is added up before a norm is scaled by s: the embeddings, and by the
 * weights of the norm behind them and of every block's last product, the residual stream. The head, which is the
 * embedding, has that undone by the last norm.
 */
export function foldEpsilon({ config, parameters, head }: FoldedModel): FoldedModel {
  const scale = Math.sqrt(PYTORCH_EPSILON / config.decoder.layerNormEps);
  if (scale === 1) return { config, parameters, ...(head && { head }) };
  const stream = [...parameters.keys()].filter((name) => STREAM.test(name));
  const scaled = withChanged(parameters, stream, times(scale));
  const finalNorm = head ? [] : [`${FINAL_NORM}.weight`, `${FINAL_NORM}.bias`];
  return {
    config: { ...config, decoder: { ...config.decoder, layerNormEps: PYTORCH_EPSILON } },
    parameters: withChanged(scaled, finalNorm, times(1 / scale)),
    ...(head && { head }),
  };
}

const STREAM =
  /^model\.(shared|decoder\.(embed_positions|layernorm_embedding|layers\.\d+\.(self_attn\.out_proj|encoder_attn\.out_proj|fc2)))\./;

const times =
  (factor: number) =>
  (values: Float32Array): Float32Array => {
    for (let i = 0; i < values.length; i++) values[i]! *= factor;
    return values;
  };

/**
 * A bias of the logits, where it is not zero. The last norm gives n·g + β, where the elements of n add up to zero, for
 * it is their mean that a norm takes away. With a constant 1 in place of β and 1 in place of g, the head's rows
 * w′ = g·w + a give Σ(n + 1)·w′ = Σn·g·w + Σg·w + size·a, so that for every token
 * a = (b + Σβ·w − Σg·w) / size gives its logit. The head is then no longer the embedding.
 */
export async function foldLogitsBias({ config, parameters }: FoldedModel): Promise<FoldedModel> {
  const bias = await parameters.get(LOGITS_BIAS)!.read();
  if (bias.every((value) => value === 0)) return { config, parameters };
  const gain = await parameters.get(`${FINAL_NORM}.weight`)!.read();
  const shift = await parameters.get(`${FINAL_NORM}.bias`)!.read();
  const embedding = parameters.get(EMBEDDING)!;
  const ones = [`${FINAL_NORM}.weight`, `${FINAL_NORM}.bias`];
  return {
    config,
    parameters: withChanged(parameters, ones, (values) => values.fill(1)),
    head: {
      shape: embedding.shape,
      read: async () => headWithBias(await embedding.read(), { bias, gain, shift }),
    },
  };
}

function headWithBias(
  weight: Float32Array,
  { bias, gain, shift }: Readonly<Record<"bias" | "gain" | "shift", Float32Array>>,
): Float32Array {
  const size = gain.length;
  for (let token = 0; token < bias.length; token++) {
    const row = weight.subarray(token * size, (token + 1) * size);
    let rest = bias[token]!;
    for (let i = 0; i < size; i++) {
      rest += (shift[i]! - gain[i]!) * row[i]!;
    }
    for (let i = 0; i < size; i++) row[i] = gain[i]! * row[i]! + rest / size;
  }
  return weight;
}

/**
 * The projection of the pictures, which Hugging Face's class has only where encoder and decoder differ in width. It is
 * multiplied into the keys and values of the cross-attention, which are all that sees its result.
 */
export function foldProjection({ config, parameters, head }: FoldedModel, signal?: AbortSignal): FoldedModel {
  if (config.vision.hiddenSize !== config.decoder.hiddenSize)
    return { config, parameters, ...(head && { head }) };
  const folded = new Map(parameters);
  const weight = folded.get(`${PROJECTION}.weight`)!;
  const bias = folded.get(`${PROJECTION}.bias`)!;
  for (const name of [`${PROJECTION}.weight`, `${PROJECTION}.bias`]) folded.delete(name);
  for (const name of parameters.keys()) {
    const [, layer] = name.match(/^(.*\.encoder_attn\.[kv]_proj)\.weight$/) ?? [];
    if (layer === undefined) continue;
    const [outer, outerBias] = [parameters.get(name)!, parameters.get(`${layer}.bias`)!];
    folded.set(name, {
      shape: outer.shape,
      read: async () => product(await outer.read(), await weight.read(), config.decoder.hiddenSize, signal),
    });
    folded.set(`${layer}.bias`, {
      shape: outerBias.shape,
      read: async () => {
        const size = config.decoder.hiddenSize;
        const [matrix, vector, sum] = [await outer.read(), await bias.read(), await outerBias.read()];
        return sum.map((value, row) => {
          let total = value;
          for (let i = 0; i < size; i++) total += matrix[row * size + i]! * vector[i]!;
          return total;
        });
      },
    });
  }
  return { config, parameters: folded, ...(head && { head }) };
}

/** a·b of square matrices, summed in float64. Whoever waits for the event loop goes first after every row. */
async function product(
  a: Float32Array,
  b: Float32Array,
  size: number,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const result = new Float32Array(size * size);
  const sums = new Float64Array(size);
  for (let row = 0; row < size; row++) {
    throwIfCancelled(signal);
    if (row % 16 === 0) await new Promise(setImmediate);
    sums.fill(0);
    for (let k = 0; k < size; k++) {
      const factor = a[row * size + k]!;
      for (let column = 0; column < size; column++) sums[column]! += factor * b[k * size + column]!;
    }
    result.set(sums, row * size);
  }
  return result;
}
