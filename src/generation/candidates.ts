import { type Edits, editScore } from "./constraints.js";

/** What a decoder step says of the next tokens of every row; see `nextToken` in model/search-step.ts. */
export interface StepResult {
  /** [rows] */
  readonly logSumExp: Float32Array;
  /** [rows, top], largest first. */
  readonly topLogits: Float32Array;
  /** [rows, top] */
  readonly topIds: BigInt64Array;
  /** [rows, edits]: logits of the ids whose scores are edited. */
  readonly editedLogits: Float32Array;
}

export interface Candidate {
  readonly id: number;
  /** Edited: what the search ranks by. −∞ where banned. */
  readonly score: number;
  /** The model's own log-probability. */
  readonly logProb: number;
}

/**
 * The best next tokens of one row, best first. The step gave as many top logits as are wanted plus as many as were
 * edited, so that what is left of them, together with the edited ones, holds the best whatever the edits did.
 * @param scale "logProbs" edits log-probabilities, as beam search does; "logits" the raw logits, as greedy search
 */
export function rankCandidates(
  { logSumExp, topLogits, topIds, editedLogits }: StepResult,
  row: number,
  edits: Edits,
  scale: "logProbs" | "logits",
): Candidate[] {
  const rows = logSumExp.length;
  const top = topLogits.length / rows;
  const edited = editedLogits.length / rows;
  const normalizer = logSumExp[row]!;
  const offset = scale === "logProbs" ? normalizer : 0;
  const ids = new Set(edits.ids);
  const candidates: Candidate[] = [];
  for (let i = row * top; i < (row + 1) * top; i++) {
    const id = Number(topIds[i]);
    const logit = topLogits[i]!;
    if (!ids.has(id)) candidates.push({ id, score: logit - offset, logProb: logit - normalizer });
  }
  edits.ids.forEach((id, i) => {
    const logit = editedLogits[row * edited + i]!;
    candidates.push({ id, score: editScore(logit - offset, id, edits), logProb: logit - normalizer });
  });
  return candidates.sort((a, b) => b.score - a.score || a.id - b.id);
}
