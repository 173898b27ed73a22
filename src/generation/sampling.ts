import { randomNumbers } from "../model/random.js";
import { type Candidate, rankCandidates, type StepResult } from "./candidates.js";
import { type Constraints, type Edits, editsAfter, forcedAfter } from "./constraints.js";
import type { GeneratedSequence, Hypothesis, Search } from "./search.js";

export interface SamplingOptions extends Constraints {
  readonly lengthPenalty: number;
  /** Captions drawn, each by itself. */
  readonly numCaptions: number;
  /** Above 1 bolder, below 1 more careful. */
  readonly temperature: number;
  /** Draw from so many of the likeliest tokens. */
  readonly topK: number;
  /** Draw from the likeliest tokens that together have this probability. */
  readonly topP: number;
  readonly seed: number;
}

interface Sample extends Hypothesis {
  /** Sum of the model's own log-probabilities. */
  readonly sum: number;
  readonly random: () => number;
}

/** Captions drawn at random, token by token; equal seeds draw equal captions. */
export class Sampling implements Search {
  readonly width: number;
  running: readonly Sample[];
  #finished: GeneratedSequence[] = [];

  constructor(private readonly options: SamplingOptions) {
    const { prompt, numCaptions, seed, topK } = options;
    this.width = topK;
    const first = forcedAfter(prompt, options);
    const tokens = first === undefined ? prompt : [...prompt, first];
    // Every caption has a stream of its own, so that the first of three is the one that asking for one gives.
    const samples = Array.from({ length: numCaptions }, (_, i) => {
      return { tokens, parent: 0, sum: 0, random: randomNumbers(seed + i * 0x9e3779b1) };
    });
    this.running = this.#keepRunning(samples);
  }

  get edits(): Edits[] {
    return this.running.map(({ tokens }) => editsAfter(tokens, this.options));
  }

  advance(result: StepResult, rows: readonly number[]): void {
    const next = this.running.map(({ tokens, sum, random }, parent): Sample => {
      const forced = forcedAfter(tokens, this.options);
      if (forced !== undefined) return { tokens: [...tokens, forced], parent, sum, random };
      const candidates = rankCandidates(result, rows[parent]!, editsAfter(tokens, this.options), "logits");
      const allowed = candidates.filter(({ id }) => !this.options.rejects?.([...tokens, id]));
      const { id, logProb } = this.#draw(allowed.length > 0 ? allowed : candidates, random());
      return { tokens: [...tokens, id], parent, sum: sum + logProb, random };
    });
    this.running = this.#keepRunning(next);
  }

  /** Hugging Face's order: temperature, then top-k, then top-p. */
  #draw(candidates: readonly Candidate[], at: number): Candidate {
    const { temperature, topK, topP } = this.options;
    const top = candidates.slice(0, topK);
    const weights = top.map(({ score }) => Math.exp((score - top[0]!.score) / temperature));
    const total = weights.reduce((a, b) => a + b);
    let kept = 0;
    let mass = 0;
    while (kept < top.length && mass < topP * total) mass += weights[kept++]!;
    let drawn = 0;
    for (let left = at * mass - weights[0]!; left >= 0 && drawn + 1 < kept; left -= weights[drawn]!) drawn++;
    return top[drawn]!;
  }

  #keepRunning(samples: readonly Sample[]): Sample[] {
    const { maxLength, eosId, prompt, lengthPenalty } = this.options;
    const ended = (tokens: readonly number[]): boolean => {
      return tokens.length >= maxLength || (tokens.length > prompt.length && tokens.at(-1) === eosId);
    };
    for (const { tokens, sum } of samples)
      if (ended(tokens))
        this.#finished.push({ tokens, score: sum / (tokens.length - prompt.length) ** lengthPenalty });
    return samples.filter(({ tokens }) => !ended(tokens));
  }

  results(): GeneratedSequence[] {
    return [...this.#finished].sort((a, b) => b.score - a.score);
  }
}
