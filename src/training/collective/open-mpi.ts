import { Turns } from "../../engine/turns.js";
import { LingolensError } from "../../errors.js";
import { type Collective, type Share, shareOf } from "./collective.js";
import { loadOpenMpi, type MpiCall, MpiThread, type OpenMpiLibrary } from "./open-mpi-library.js";

/** Constants of Open MPI's mpi.h. */
const THREAD_SERIALIZED = 2;
const COMM_TYPE_SHARED = 0;
const IN_PLACE = 1n;

/**
 * The most elements of a call. MPI takes fresh memory for larger pieces, and they do not stay in the processor's caches until
 * they are added up (bench/allreduce.mjs).
 */
const PIECE = 1 << 21;
/** The most elements that come from all other ranks together: how much memory receiving takes. */
const RECEIVED = 1 << 24;
/**
 * The processes that `mpirun`, or `srun --mpi=pmix`, has started together, through Open MPI. Calls run on a thread of
 * their own, one at a time. An error of MPI's own ends all ranks with a message of its own, as is MPI's default.
 */
export class OpenMpi implements Collective {
  readonly #turns = new Turns(1);
  readonly #thread: MpiThread;
  /** Pieces from the other ranks, kept: fresh memory would cost as much as what it receives. */
  #received = new Float32Array(0);
  #left = false;

  private constructor(
    private readonly mpi: OpenMpiLibrary,
    readonly rank: number,
    readonly size: number,
    readonly ranksHere: number,
  ) {
    this.#thread = new MpiThread(mpi);
    // However this process ends, the others would wait for it forever.
    process.on("exit", (code) => {
      if (!this.#left) mpi.functions.Abort(mpi.handles.world, code || 1);
    });
  }

  /**
   * Waits for the other processes to do the same.
   * @throws {LingolensError} `mpi-unavailable`
   */
  static join(): OpenMpi {
    const mpi = loadOpenMpi();
    const { functions, handles } = mpi;
    const number = (call: (into: Int32Array) => void): number => {
      const into = new Int32Array(1);
      call(into);
      return into[0]!;
    };
    const threads = number((into) => functions.Init_thread(null, null, THREAD_SERIALIZED, into));
    const rank = number((into) => functions.Comm_rank(handles.world, into));
    const size = number((into) => functions.Comm_size(handles.world, into));
    if (threads < THREAD_SERIALIZED || size === 1) {
      functions.Finalize();
      throw new LingolensError(
        "mpi-unavailable",
        size === 1
          ? `${mpi.name} knows of no other process, though this is one of several that were started together. mpirun, or ` +
              "Slurm's PMIx, is of another installation: name the libmpi that belongs to it in LINGOLENS_MPI."
          : `${mpi.name} cannot be called from several threads; expected Open MPI built with support of threads.`,
      );
    }
    const here = new BigUint64Array(1);
    functions.Comm_split_type(handles.world, COMM_TYPE_SHARED, 0, handles.noInfo, here);
    const ranksHere = number((into) => functions.Comm_size(here[0]!, into));
    functions.Comm_free(here);
    return new OpenMpi(mpi, rank, size, ranksHere);
  }

  async allReduce(values: Float32Array): Promise<void> {
    const { float, sum, world } = this.mpi.handles;
    await this.#call(
      ...piecesOf(values).map(
        (piece): MpiCall => ["Allreduce", IN_PLACE, piece, piece.length, float, sum, world],
      ),
    );
  }

  async reduceScatter(values: Float32Array): Promise<void> {
    const { float, sum, world } = this.mpi.handles;
    const length = Math.min(PIECE, Math.floor(RECEIVED / this.size));
    if (this.#received.length === 0) this.#received = new Float32Array(length * this.size);
    const toRoom = Int32Array.from({ length: this.size }, (_, rank) => rank * length);
    const calls: MpiCall[] = [];
    for (const pieces of this.#pieces(values.length, length)) {
      const mine = values.subarray(pieces[this.rank]!.start, pieces[this.rank]!.end);
      // What is this rank's own need not be sent.
      const sent = countsOf(pieces).fill(0, this.rank, this.rank + 1);
      const received = new Int32Array(this.size).fill(mine.length).fill(0, this.rank, this.rank + 1);
      const from = startsOf(pieces);
      const room = this.#received;
      calls.push(["Alltoallv", values, sent, from, float, room, received, toRoom, float, world]);
      for (let rank = 0; rank < this.size; rank++) {
        if (rank === this.rank || mine.length === 0) continue;
        const others = room.subarray(rank * length, rank * length + mine.length);
        calls.push(["Reduce_local", others, mine, mine.length, float, sum]);
      }
    }
    await this.#call(...calls);
  }

  async allGather(values: Float32Array): Promise<void> {
    const { float, world } = this.mpi.handles;
    const pieces = [...this.#pieces(values.length, PIECE)];
    await this.#call(
      ...pieces.map(
        (of): MpiCall => ["Allgatherv", IN_PLACE, 0, float, values, countsOf(of), startsOf(of), float, world],
      ),
    );
  }

  async gather(values: Float32Array): Promise<void> {
    const { float, world } = this.mpi.handles;
    if (this.rank > 0) {
      await this.#call(["Gatherv", values, values.length, float, null, null, null, float, 0, world]);
      return;
    }
    const shares = this.#shares(values.length);
    const [counts, starts] = [countsOf(shares), startsOf(shares)];
    await this.#call(["Gatherv", IN_PLACE, 0, float, values, counts, starts, float, 0, world]);
  }

  async broadcast(values: Float32Array | Uint8Array): Promise<void> {
    const { float, byte, world } = this.mpi.handles;
    const type = values instanceof Float32Array ? float : byte;
    await this.#call(
      ...piecesOf(values).map((piece): MpiCall => ["Bcast", piece, piece.length, type, 0, world]),
    );
  }

  async exchange(numbers: readonly number[]): Promise<readonly (readonly number[])[]> {
    const { double, world } = this.mpi.handles;
    const count = numbers.length;
    const all = new Float64Array(count * this.size);
    await this.#call(["Allgather", Float64Array.from(numbers), count, double, all, count, double, world]);
    return Array.from({ length: this.size }, (_, rank) => [
      ...all.subarray(rank * count, (rank + 1) * count),
    ]);
  }

  async barrier(): Promise<void> {
    await this.#call(["Barrier", this.mpi.handles.world]);
  }

  async close(): Promise<void> {
    if (this.#left) return;
    await this.barrier();
    this.#left = true;
    await this.#thread.close();
    this.mpi.functions.Finalize();
  }

  #shares(count: number): Share[] {
    return Array.from({ length: this.size }, (_, rank) => shareOf(count, { rank, size: this.size }));
  }

  /** Cuts the shares of all ranks in pieces of at most `length`: the first of each, the second of each, and so on. */
  *#pieces(count: number, length: number): Generator<Share[]> {
    const shares = this.#shares(count);
    const longest = Math.ceil(count / this.size);
    for (let at = 0; at < longest; at += length)
      yield shares.map(({ start, end }) => ({
        start: Math.min(start + at, end),
        end: Math.min(start + at + length, end),
      }));
  }

  #call(...calls: readonly MpiCall[]): Promise<void> {
    return this.#turns.take(() => this.#thread.run(calls));
  }
}

const countsOf = (shares: readonly Share[]) => Int32Array.from(shares, ({ start, end }) => end - start);
const startsOf = (shares: readonly Share[]) => Int32Array.from(shares, ({ start }) => start);

function piecesOf<A extends Float32Array | Uint8Array>(values: A): A[] {
  const count = Math.ceil(values.length / PIECE);
  return Array.from({ length: count }, (_, i) => values.subarray(i * PIECE, (i + 1) * PIECE) as A);
}
