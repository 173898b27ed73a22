import { availableParallelism, cpus } from "node:os";

/** Which of several processes this is, of how many. */
export interface Ranks {
  /** From 0. Rank 0 writes what is written. */
  readonly rank: number;
  readonly size: number;
}

/**
 * What the processes that train one model together say to each other. All ranks make the same calls in the same order,
 * with arrays of the same lengths; each call ends when this rank has what it asked for. An array may be neither read nor
 * written until then.
 */
export interface Collective extends Ranks {
  /** Ranks on this machine. */
  readonly ranksHere: number;
  /** Replaces the values by their sums over all ranks, in whatever order is fastest. */
  allReduce(values: Float32Array): Promise<void>;
  /**
   * Replaces this rank's share of the values by its sums over all ranks, added in an order that depends on nothing but
   * the ranks; the others' shares stay as they are.
   */
  reduceScatter(values: Float32Array): Promise<void>;
  /** Every rank's share of the values to all others. */
  allGather(values: Float32Array): Promise<void>;
  /** Every rank's share to rank 0, where `values` is the whole array, its own share in place; elsewhere it is the share. */
  gather(values: Float32Array): Promise<void>;
  /** Rank 0's values to all others. */
  broadcast(values: Float32Array | Uint8Array): Promise<void>;
  /** The numbers of every rank, by rank. */
  exchange(numbers: readonly number[]): Promise<readonly (readonly number[])[]>;
  /** Waits for all others to come here. */
  barrier(): Promise<void>;
  /** Leaves once all ranks want to. A process that ends without having done so ends all others. Idempotent. */
  close(): Promise<void>;
}

/** Places of an array, or pictures of a batch. */
export interface Share {
  readonly start: number;
  readonly end: number;
}

/** The share that a rank has of so many things in a row. Shares differ by one at most. */
export function shareOf(count: number, { rank, size }: Ranks): Share {
  return {
    start: Math.floor((count * rank) / size),
    end: Math.floor((count * (rank + 1)) / size),
  };
}

/** Sums over all ranks in double precision, added by rank. */
export async function sumOverRanks(collective: Collective, numbers: readonly number[]): Promise<number[]> {
  const all = await collective.exchange(numbers);
  return numbers.map((_, i) => all.map((of) => of[i]!).reduce((a, b) => a + b));
}

/** Whether it is so for any rank. */
export async function anyRank(collective: Collective, so: boolean): Promise<boolean> {
  return (await collective.exchange([so ? 1 : 0])).some(([of]) => of !== 0);
}

/** What rank 0 makes, to all ranks. It is sent as JSON. */
export async function fromRank0<T>(collective: Collective, make: () => Promise<T>): Promise<T> {
  if (collective.size === 1) return make();
  const made = collective.rank === 0 ? Buffer.from(JSON.stringify([await make()])) : undefined;
  const [[length]] = (await collective.exchange([made?.length ?? 0])) as [[number]];
  const bytes = made ?? Buffer.alloc(length);
  await collective.broadcast(bytes);
  return JSON.parse(bytes.toString())[0] ?? undefined;
}

/** This rank's share of the processors of its machine, or fewer where it may not use as many. */
export function threadsOfRank({ ranksHere }: Collective): number {
  const allowed = availableParallelism();
  return ranksHere === 1 ? allowed : Math.max(1, Math.min(allowed, Math.floor(cpus().length / ranksHere)));
}
