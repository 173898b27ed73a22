import { rankCandidates, type StepResult } from "./candidates.js";
import { type Constraints, type Edits, editsAfter, forcedAfter, SPARE_CANDIDATES } from "./constraints.js";
import type { GeneratedSequence, Hypothesis, Search } from "./search.js";

export interface BeamSearchOptions extends Constraints {
  /** Hypotheses kept. */
  readonly beams: number;
  /** Results wanted, at most `beams`. */
  readonly numCaptions: number;
  /** Exponent of the length, the prompt not counted, by which a sum of log-probabilities is divided. */
  readonly lengthPenalty: number;
  /**
   * When to stop once `beams` captions are finished: true, at once; false, when the best running hypothesis, at its
   * length, is no better than the worst of them; "never", when it could not become better at any length.
   */
  readonly earlyStopping: boolean | "never";
}

interface Beam extends Hypothesis {
  /** Sum of the edited log-probabilities. */
  readonly sum: number;
}

/** Beam search exactly as Hugging Face transformers 5.18 does it (`GenerationMixin._beam_search`). */
export class BeamSearch implements Search {
  readonly width: number;
  running: readonly Beam[];
  /** At most `beams`, best first. */
  #finished: GeneratedSequence[] = [];

  constructor(private readonly options: BeamSearchOptions) {
    // Twice as many as beams: if all of them ended here, there would still be enough to go on with.
    this.width = 2 * options.beams + (options.rejects ? SPARE_CANDIDATES : 0);
    this.running = [{ tokens: options.prompt, parent: 0, sum: 0 }];
    const first = forcedAfter(options.prompt, options);
    if (first !== undefined) this.#select([{ tokens: [...options.prompt, first], parent: 0, sum: 0 }]);
  }

  get edits(): Edits[] {
    return this.running.map(({ tokens }) => editsAfter(tokens, this.options));
  }

  advance(result: StepResult, rows: readonly number[]): void {
    const candidates = this.running.flatMap(({ tokens, sum }, parent): Beam[] => {
      const forced = forcedAfter(tokens, this.options);
      if (forced !== undefined) return [{ tokens: [...tokens, forced], parent, sum }];
      return rankCandidates(result, rows[parent]!, editsAfter(tokens, this.options), "logProbs")
        .filter(({ score }) => score > Number.NEGATIVE_INFINITY)
        .filter(({ id }) => !this.options.rejects?.([...tokens, id]))
        .slice(0, 2 * this.options.beams)
        .map(({ id, score }) => ({ tokens: [...tokens, id], parent, sum: sum + score }));
    });
    this.#select(candidates.sort((a, b) => b.sum - a.sum).slice(0, 2 * this.options.beams));
  }

  /** Puts candidates, best first, among the finished or the running. */
  #select(candidates: readonly Beam[]): void {
    const { beams, maxLength, eosId } = this.options;
    const ends = ({ tokens }: Beam): boolean => tokens.at(-1) === eosId || tokens.length >= maxLength;
    // A caption that ends below rank `beams` is lost, as in Hugging Face.
    const ended = candidates.slice(0, beams).filter(ends);
    const finished = ended.map(({ tokens, sum }) => ({
      tokens,
      score: sum / this.#lengthFactor(tokens.length),
    }));
    this.#finished = [...this.#finished, ...finished].sort((a, b) => b.score - a.score).slice(0, beams);
    this.running = candidates.filter((beam) => !ends(beam)).slice(0, beams);
    if (this.#isClosed()) this.running = [];
  }

  #isClosed(): boolean {
    const { beams, earlyStopping, lengthPenalty, maxLength } = this.options;
    const best = this.running[0];
    if (!best) return true;
    if (this.#finished.length < beams) return false;
    if (earlyStopping === true) return true;
    const length = earlyStopping === "never" && lengthPenalty > 0 ? maxLength : best.tokens.length;
    return best.sum / this.#lengthFactor(length) <= this.#finished.at(-1)!.score;
  }

  #lengthFactor(length: number): number {
    return (length - this.options.prompt.length) ** this.options.lengthPenalty;
  }

  results(): GeneratedSequence[] {
    return this.#finished.slice(0, this.options.numCaptions);
  }
}
