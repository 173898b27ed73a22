import { rankCandidates, type StepResult } from "./candidates.js";
import { type Constraints, type Edits, editsAfter, forcedAfter, SPARE_CANDIDATES } from "./constraints.js";
import type { GeneratedSequence, Hypothesis, Search } from "./search.js";

export interface GreedySearchOptions extends Constraints {
  /** As in beam search; it changes the score alone. */
  readonly lengthPenalty: number;
}

/** The likeliest token at every step. Edits act on raw logits, as Hugging Face's greedy search has it. */
export class GreedySearch implements Search {
  readonly width: number;
  running: readonly Hypothesis[];
  #tokens: readonly number[];
  #sum = 0;

  constructor(private readonly options: GreedySearchOptions) {
    const { prompt, maxLength, rejects } = options;
    this.width = 1 + (rejects ? SPARE_CANDIDATES : 0);
    const first = forcedAfter(prompt, options);
    this.#tokens = first === undefined ? prompt : [...prompt, first];
    this.running = this.#tokens.length < maxLength ? [{ tokens: this.#tokens, parent: 0 }] : [];
  }

  get edits(): Edits[] {
    return this.running.map(({ tokens }) => editsAfter(tokens, this.options));
  }

  advance(result: StepResult, rows: readonly number[]): void {
    const { maxLength, eosId } = this.options;
    const candidates = rankCandidates(result, rows[0]!, editsAfter(this.#tokens, this.options), "logits");
    const best =
      candidates.find(({ id }) => !this.options.rejects?.([...this.#tokens, id])) ?? candidates[0]!;
    const forced = forcedAfter(this.#tokens, this.options);
    const { id, logProb } = forced === undefined ? best : { id: forced, logProb: 0 };
    this.#tokens = [...this.#tokens, id];
    this.#sum += logProb;
    this.running =
      id === eosId || this.#tokens.length >= maxLength ? [] : [{ tokens: this.#tokens, parent: 0 }];
  }

  results(): GeneratedSequence[] {
    const length = this.#tokens.length - this.options.prompt.length;
    return [{ tokens: this.#tokens, score: this.#sum / length ** this.options.lengthPenalty }];
  }
}
