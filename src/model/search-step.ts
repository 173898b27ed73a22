/** The program that a search runs step by step, of whatever model has a decoder with cross-attention. */
import {
  addDimensions,
  type Dimension,
  gather,
  gatherElements,
  input,
  logSoftmax,
  multiplyDimensions,
  reshape,
  slice,
  subtract,
  type Tensor,
  topK,
} from "../graph/index.js";
import type { KeyValue } from "../nn/attention.js";
import type { DecoderConfig, SpecialTokenIds } from "./config.js";
import type { DecoderInputs, DecoderOutputs } from "./mbart-decoder.js";

/** What the searches have to know of a model; every config with a decoder is one. */
export interface SearchedModel {
  readonly decoder: Pick<DecoderConfig, "layers" | "heads" | "hiddenSize" | "vocabularySize">;
  readonly ids: Pick<SpecialTokenIds, "pad">;
}

/** A model's decoder and head. */
export interface SearchedGraph {
  readonly config: SearchedModel;
  decode(inputs: DecoderInputs): Pick<DecoderOutputs, "lastHiddenState" | "own">;
  /** [rows, hidden] → logits [rows, vocabulary] */
  head(hiddenStates: Tensor, options: { readonly few: boolean }): Tensor;
}

/**
 * One step of the searches: a row holds the new tokens of all hypotheses of one search, which share their keys and
 * values and see what `bias` lets them see. The inputs of `seen`, cache.N.* [pictures·searches, heads, slots, headSize],
 * ids [pictures, searches, length], positions [length], bias [pictures·searches, length, slots + length], wanted
 * [hypotheses] → own.N.*, the keys and values of `ids`, and what `nextToken` gives for the tokens that follow those
 * at the places `wanted` of all rows in a line.
 * @param seen what the cross-attention sees; its inputs count pictures in their first dimension
 */
export function searchStep(
  graph: SearchedGraph,
  seen: Pick<DecoderInputs, "cross" | "crossBias">,
): Record<string, Tensor> {
  const { layers, heads, hiddenSize } = graph.config.decoder;
  const rows = multiplyDimensions("pictures", "searches");
  const ids = input("ids", "int64", ["pictures", "searches", "length"]);
  const positions = input("positions", "int64", ["length"]);
  const bias = input("bias", "float32", [rows, "length", addDimensions("slots", "length")]);
  const pairs = keyValueInputs("cache", layers, [rows, heads, "slots", hiddenSize / heads]);
  const { lastHiddenState, own } = graph.decode({ ids, positions, ...seen, cache: { pairs, bias } });
  const tokens = reshape(lastHiddenState, [multiplyDimensions(rows, "length"), hiddenSize]);
  const logits = graph.head(gather(tokens, input("wanted", "int64", ["hypotheses"])), { few: true });
  return { ...keyValueNames("own", own), ...nextToken(logits) };
}

/**
 * What a search needs of logits [hypotheses, vocabulary]: their `logSumExp` [hypotheses], the `topLogits` and
 * `topIds` [hypotheses, k] where k is the length of the input `k`, and `editedLogits` [hypotheses, edits], those of
 * the ids in the input `edited`, whose scores the search will change.
 */
function nextToken(logits: Tensor): Record<string, Tensor> {
  const { values, indices } = topK(logits, input("k", "int64", ["k"]));
  const edited = input("edited", "int64", ["hypotheses", "edits"]);
  // Of the best token, whose two values are of like size: ReduceLogSumExp takes eight times as long as LogSoftmax.
  const best = slice(indices, 1, 0, 1);
  const logProb = gatherElements(logSoftmax(logits), best, 1);
  return {
    logSumExp: reshape(subtract(slice(values, 1, 0, 1), logProb), ["hypotheses"]),
    topLogits: values,
    topIds: indices,
    editedLogits: gatherElements(logits, edited, 1),
  };
}

/** `NAME.N.key`, `NAME.N.value` as a program's inputs. */
export function keyValueInputs(name: string, layers: number, shape: readonly Dimension[]): KeyValue[] {
  return Array.from({ length: layers }, (_, layer) => ({
    key: input(`${name}.${layer}.key`, "float32", shape),
    value: input(`${name}.${layer}.value`, "float32", shape),
  }));
}

/** A list of keys and values as named tensors of a program: `cross.0.key`, `cross.0.value`, `cross.1.key`, … */
export function keyValueNames(name: string, pairs: readonly KeyValue[]): Record<string, Tensor> {
  return Object.fromEntries(
    pairs.flatMap(({ key, value }, layer) => [
      [`${name}.${layer}.key`, key],
      [`${name}.${layer}.value`, value],
    ]),
  );
}
