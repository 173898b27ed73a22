/** The program that a search runs step by step, of whatever model has a decoder with cross-attention. */
import {
  add,
  addDimensions,
  concat,
  constantInt,
  type Dimension,
  gather,
  gatherElements,
  input,
  lessOrEqual,
  logSoftmax,
  logSumExp,
  multiplyDimensions,
  reshape,
  slice,
  subtract,
  type Tensor,
  topK,
  where,
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
  /** [rows, hidden] → logits of consecutive parts of the vocabulary, [rows, part] each */
  headBlocks(hiddenStates: Tensor): readonly Tensor[];
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
  const blocks = graph.headBlocks(gather(tokens, input("wanted", "int64", ["hypotheses"])));
  return { ...keyValueNames("own", own), ...nextToken(blocks) };
}

/**
 * What a search needs of logits [hypotheses, vocabulary]: their `logSumExp` [hypotheses], the `topLogits` and
 * `topIds` [hypotheses, k] where k is the length of the input `k`, and `editedLogits` [hypotheses, edits], those of
 * the ids in the input `edited`, whose scores the search will change. Where logits come in parts, each part is reduced
 * to its best and its sum while the processor's cache has it.
 */
function nextToken(blocks: readonly Tensor[]): Record<string, Tensor> {
  const k = input("k", "int64", ["k"]);
  const edited = input("edited", "int64", ["hypotheses", "edits"]);
  const starts = blocks.map((_, i) => blocks.slice(0, i).reduce((sum, block) => sum + widthOf(block), 0));
  const parts = blocks.map((logits, i) => {
    const { values, indices } = topK(logits, k);
    // Of the best token, whose two values are of like size: ReduceLogSumExp takes eight times as long as LogSoftmax.
    const logProb = gatherElements(logSoftmax(logits), slice(indices, 1, 0, 1), 1);
    const ids = starts[i] === 0 ? indices : add(indices, constantInt(starts[i]!));
    return { values, ids, logSumExp: subtract(slice(values, 1, 0, 1), logProb) };
  });
  const [first] = parts;
  if (parts.length === 1)
    return {
      logSumExp: reshape(first!.logSumExp, ["hypotheses"]),
      topLogits: first!.values,
      topIds: first!.ids,
      editedLogits: gatherElements(blocks[0]!, edited, 1),
    };
  const all = (name: "values" | "ids" | "logSumExp"): Tensor =>
    concat(
      parts.map((part) => part[name]),
      1,
    );
  const best = topK(all("values"), k);
  return {
    logSumExp: logSumExp(all("logSumExp"), { axes: [1] }),
    topLogits: best.values,
    topIds: gatherElements(all("ids"), best.indices, 1),
    editedLogits: blocks
      .map((logits, i) => elementsWithin(logits, edited, starts[i]!))
      .reduce((sum, part) => add(sum, part)),
  };
}

const widthOf = ({ shape }: Tensor): number => shape[1] as number;

/** Logits of the ids that are in a part of the vocabulary, 0 for others. */
function elementsWithin(logits: Tensor, ids: Tensor, start: number): Tensor {
  const from = constantInt(start);
  const [above, below] = [lessOrEqual(from, ids), lessOrEqual(ids, constantInt(start + widthOf(logits) - 1))];
  const none = constantInt(0);
  const places = where(above, where(below, subtract(ids, from), none), none);
  return where(above, where(below, gatherElements(logits, places, 1), 0), 0);
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
