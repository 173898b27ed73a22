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
  LARGEST_WITHIN,
  lessOrEqual,
  log,
  logSumExp,
  max,
  multiplyDimensions,
  reshape,
  slice,
  softmax,
  subtract,
  sum,
  type Tensor,
  topK,
  topKCandidates,
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
  /** [rows, hidden] → logits of consecutive parts of the vocabulary, [rows, part] each, none narrower than k */
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
  const [whole, ...more] = blocks;
  if (more.length === 0) {
    const { values, indices } = topK(whole!, k);
    return {
      logSumExp: reshape(normalizer(whole!, slice(values, 1, 0, 1), slice(indices, 1, 0, 1)), ["hypotheses"]),
      topLogits: values,
      topIds: indices,
      editedLogits: gatherElements(whole!, edited, 1),
    };
  }
  const within = new EditedParts(edited, blocks.map(widthOf));
  const [firstEdit, firstCandidate] = [1, addDimensions(1, "edits")];
  // Of every part [hypotheses, 1 + edits + candidates], side by side, so that a part is done with before the next is
  // computed: the normalizer, the logits of the edited ids, and those of the candidates.
  const parts = blocks.map((logits, part) => {
    const candidates = topKCandidates(logits, k);
    const values = gatherElements(logits, concat([within.places(part), candidates], 1), 1);
    const leading = slice(values, 1, "edits", addDimensions("edits", LARGEST_WITHIN));
    const sum = normalizer(logits, leading, slice(candidates, 1, 0, LARGEST_WITHIN));
    return { found: concat([sum, values], 1), ids: add(candidates, constantInt(within.starts[part]!)) };
  });
  const heads = parts.map(({ found }) => slice(found, 1, 0, firstCandidate));
  const head = reshape(concat(heads, 0), [blocks.length, "hypotheses", firstCandidate]);
  const logits = parts.map(({ found }) => slice(found, 1, firstCandidate, found.shape[1]!));
  const top = topK(concat(logits, 1), k);
  const ids = concat(
    parts.map((part) => part.ids),
    1,
  );
  return {
    logSumExp: reshape(logSumExp(slice(head, 2, 0, firstEdit), { axes: [0] }), ["hypotheses"]),
    topLogits: top.values,
    topIds: gatherElements(ids, top.indices, 1),
    editedLogits: within.joined(slice(head, 2, firstEdit, firstCandidate)),
  };
}

/** Where ids are in a vocabulary that comes in parts. */
class EditedParts {
  /** Of each part, its first id. */
  readonly starts: readonly number[];
  /** [parts, hypotheses, edits]: whether a part is the id's or one behind it, and the id's or one before it. */
  readonly #from: Tensor;
  readonly #to: Tensor;
  readonly #places: Tensor;

  /** @param ids [hypotheses, edits] */
  constructor(ids: Tensor, widths: readonly number[]) {
    this.starts = widths.map((_, part) => widths.slice(0, part).reduce((sum, width) => sum + width, 0));
    const column = (values: readonly number[]): Tensor => constantInt(values, [widths.length, 1, 1]);
    const starts = column(this.starts);
    this.#from = lessOrEqual(starts, ids);
    this.#to = lessOrEqual(ids, column(this.starts.map((start, part) => start + widths[part]! - 1)));
    this.#places = this.#orElse(subtract(ids, starts), constantInt(0));
  }

  /** [hypotheses, edits]: places in a part; any of ids that are not in it. */
  places(part: number): Tensor {
    return gather(this.#places, constantInt(part));
  }

  /** @param values [parts, hypotheses, edits] of those places; the result [hypotheses, edits] has those of the ids */
  joined(values: Tensor): Tensor {
    return sum(this.#orElse(values, 0), { axes: [0] });
  }

  #orElse(values: Tensor, other: Tensor | number): Tensor {
    return where(this.#from, where(this.#to, values, other), other);
  }
}

/**
 * [hypotheses, 1]: the logarithm of the sum of the logits' exponentials.
 * @param values some logits, the largest among them, at the places `indices`
 */
function normalizer(logits: Tensor, values: Tensor, indices: Tensor): Tensor {
  const largest = (x: Tensor): Tensor => max(x, { axes: [1], keepDims: true });
  // The best token's share is at least one over the vocabulary's size: its logarithm loses nothing. ReduceLogSumExp takes
  // eight times as long, and LogSoftmax is not computed on GPUs.
  return subtract(largest(values), log(largest(gatherElements(softmax(logits), indices, 1))));
}

const widthOf = ({ shape }: Tensor): number => shape[1] as number;

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
