/** What a search may not do, or not do freely, as Hugging Face's logits processors define it. */
export interface Constraints {
  /** Shortest result in tokens, the start token counted. */
  readonly minLength: number;
  /** Longest result in tokens, the start token counted. */
  readonly maxLength: number;
  /** No n-gram of tokens occurs twice; 0 allows all. */
  readonly noRepeatNgramSize: number;
  /** Above 1, tokens that have occurred become less likely (Keskar et al. 2019, arXiv 1909.05858); 1 is off. */
  readonly repetitionPenalty: number;
  /** Token sequences that never occur. */
  readonly bannedSequences: readonly (readonly number[])[];
  readonly eosId: number;
  /** The start token, or a prompt that begins with it. */
  readonly prompt: readonly number[];
  /**
   * The token after the start token, such as the language's. It costs nothing; a prompt that is longer has taken its
   * place already. Default: the model's choice.
   */
  readonly forcedFirst?: number;
  /** The last token of a result that reaches `maxLength`. It costs nothing. Default: the model's choice. */
  readonly forcedEosId?: number;
  /** Whether a caption may not become this. Default: all may be. */
  readonly rejects?: (tokens: readonly number[]) => boolean;
}

/** How many candidates more are looked at where some may be rejected. */
export const SPARE_CANDIDATES = 32;

/** The token that must follow `tokens`, if there is one. */
export function forcedAfter(tokens: readonly number[], constraints: Constraints): number | undefined {
  const { maxLength, forcedFirst, forcedEosId } = constraints;
  if (forcedEosId !== undefined && tokens.length === maxLength - 1) return forcedEosId;
  return tokens.length === 1 ? forcedFirst : undefined;
}

/** Changes to the scores of one row's next token. */
export interface Edits {
  /** Each id once. */
  readonly ids: readonly number[];
  readonly banned: ReadonlySet<number>;
  readonly penalty: number;
}

/** What changes for the token that follows `tokens`. */
export function editsAfter(tokens: readonly number[], constraints: Constraints): Edits {
  const { minLength, noRepeatNgramSize, repetitionPenalty, bannedSequences, eosId } = constraints;
  const banned = new Set<number>();
  if (tokens.length < minLength) banned.add(eosId);
  if (noRepeatNgramSize > 0) for (const id of repeatedNgrams(tokens, noRepeatNgramSize)) banned.add(id);
  for (const sequence of bannedSequences) {
    const last = sequence.at(-1)!;
    if (sequence.length === 1 ? last !== eosId : endsBefore(tokens, sequence)) banned.add(last);
  }
  const penalised = repetitionPenalty === 1 ? [] : tokens;
  return { ids: [...new Set([...banned, ...penalised])], banned, penalty: repetitionPenalty };
}

/** The edited value of a logit or a log-probability. */
export function editScore(score: number, id: number, { banned, penalty }: Edits): number {
  if (banned.has(id)) return Number.NEGATIVE_INFINITY;
  return score < 0 ? score * penalty : score / penalty;
}

/** Tokens that would complete an n-gram which has occurred. */
function repeatedNgrams(tokens: readonly number[], size: number): number[] {
  const start = tokens.length - size + 1;
  if (start < 0) return [];
  const suffix = tokens.slice(start);
  const repeated: number[] = [];
  for (let i = 0; i < start; i++)
    if (suffix.every((id, j) => tokens[i + j] === id)) repeated.push(tokens[i + size - 1]!);
  return repeated;
}

/** Whether `tokens` end with all of `sequence` but its last. */
function endsBefore(tokens: readonly number[], sequence: readonly number[]): boolean {
  const start = tokens.length - (sequence.length - 1);
  return start >= 0 && sequence.slice(0, -1).every((id, i) => tokens[start + i] === id);
}
