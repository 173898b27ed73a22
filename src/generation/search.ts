import type { StepResult } from "./candidates.js";
import type { Edits } from "./constraints.js";

/** A caption while it grows. */
export interface Hypothesis {
  /** With the start token. */
  readonly tokens: readonly number[];
  /** Which of the search's hypotheses before the last step this one continues. */
  readonly parent: number;
}

/** A finished caption. */
export interface GeneratedSequence {
  /** With the start token, and `</s>` where the caption ended by itself. */
  readonly tokens: readonly number[];
  /** Sum of the tokens' scores over (number of generated tokens)^lengthPenalty, as Hugging Face's `sequences_scores`. */
  readonly score: number;
}

/** The search for the captions of one picture in one language. */
export interface Search {
  /** The hypotheses to be continued; none once the search is done. */
  readonly running: readonly Hypothesis[];
  /** Edits of each running hypothesis' next token. */
  readonly edits: readonly Edits[];
  /** How many of the best tokens of a row the search looks at. */
  readonly width: number;
  /** Takes in the step's result, whose rows `rows` belong to the running hypotheses. */
  advance(result: StepResult, rows: readonly number[]): void;
  /** The captions found, best first. */
  results(): GeneratedSequence[];
}
