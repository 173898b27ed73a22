import { rankCandidates, type StepResult } from "./candidates.js";
import { type Constraints, type Edits, editsAfter } from "./constraints.js";
import type { GeneratedSequence, Hypothesis, Search } from "./search.js";

export interface GreedySearchOptions extends Constraints {
  readonly prompt: readonly number[];
  readonly forcedFirst?: number;
  /** As in beam search; it changes the score alone. */
  readonly lengthPenalty: number;
}

/** The likeliest token at every step. Edits act on raw logits, as Hugging Face's greedy search has it. */
export class GreedySearch implements Search {
  readonly width = 1;
  running: readonly Hypothesis[];
  #tokens: readonly number[];
  #sum = 0;

  constructor(private readonly options: GreedySearchOptions) {
    const { prompt, forcedFirst } = options;
    this.#tokens = forcedFirst === undefined ? prompt : [...prompt, forcedFirst];
    this.running = this.#tokens.length < options.maxLength ? [{ tokens: this.#tokens, parent: 0 }] : [];
  }

  get edits(): Edits[] {
    return this.running.map(({ tokens }) => editsAfter(tokens, this.options));
  }

  advance(result: StepResult, rows: readonly number[]): void {
    const { forcedEosId, maxLength, eosId } = this.options;
    const best = rankCandidates(result, rows[0]!, editsAfter(this.#tokens, this.options), "logits")[0]!;
    const forced = forcedEosId !== undefined && this.#tokens.length === maxLength - 1;
    const id = forced ? forcedEosId : best.id;
    this.#tokens = [...this.#tokens, id];
    if (!forced) this.#sum += best.logProb;
    this.running = id === eosId || this.#tokens.length >= maxLength ? [] : [{ tokens: this.#tokens, parent: 0 }];
  }

  results(): GeneratedSequence[] {
    const length = this.#tokens.length - this.options.prompt.length;
    return [{ tokens: this.#tokens, score: this.#sum / length ** this.options.lengthPenalty }];
  }
}
