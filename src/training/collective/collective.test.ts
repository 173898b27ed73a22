import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jsonLines } from "../../../test/support/command-line.js";
import { hasMpirun, startRanks } from "../../../test/support/mpi.js";
import { fromRank0, shareOf, sumOverRanks, threadsOfRank } from "./collective.js";
import { startedTogether } from "./join-ranks.js";
import { oneProcess } from "./one-process.js";
import { loadOpenMpi } from "./open-mpi-library.js";

const script = fileURLToPath(new URL("../../../test/support/collective-rank.mjs", import.meta.url));

it("shares of anything are all of it, in order, and differ by one at most", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 28 }), fc.integer({ min: 1, max: 100 }), (count, size) => {
      const shares = Array.from({ length: size }, (_, rank) => shareOf(count, { rank, size }));
      const lengths = shares.map(({ start, end }) => end - start);
      expect(shares[0]!.start).toBe(0);
      expect(shares.at(-1)!.end).toBe(count);
      shares.slice(1).forEach(({ start }, i) => {
        expect(start).toBe(shares[i]!.end);
      });
      expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1);
    }),
  );
});

it("one process has sums, tells itself what it makes, and uses the processors that it may", async () => {
  expect(await sumOverRanks(oneProcess, [1.5, 2])).toEqual([1.5, 2]);
  expect(await fromRank0(oneProcess, async () => undefined)).toBeUndefined();
  expect(threadsOfRank(oneProcess)).toBeGreaterThanOrEqual(1);
  expect(threadsOfRank({ ...oneProcess, ranksHere: 10_000 })).toBe(1);
});

describe("a process", () => {
  it.each([
    ["by itself", {}],
    ["by mpirun -n 1", { OMPI_COMM_WORLD_SIZE: "1", PMIX_RANK: "0" }],
    ["by srun with one task", { SLURM_STEP_NUM_TASKS: "1", PMIX_RANK: "0" }],
    ["in a batch script that has several tasks to start", { SLURM_NTASKS: "4", SLURM_PROCID: "0" }],
  ])("started %s is alone", (_, environment) => {
    expect(startedTogether(environment)).toBe(false);
  });

  it.each([
    ["by mpirun", { OMPI_COMM_WORLD_SIZE: "2", PMIX_RANK: "1" }],
    ["by mpirun within srun", { OMPI_COMM_WORLD_SIZE: "2", SLURM_STEP_NUM_TASKS: "1" }],
    ["by srun --mpi=pmix", { SLURM_STEP_NUM_TASKS: "2", PMIX_RANK: "1" }],
  ])("started %s is one of several", (_, environment) => {
    expect(startedTogether(environment)).toBe(true);
  });

  it.each([
    [{ SLURM_STEP_NUM_TASKS: "3" }, /3 tasks that know nothing of each other.*srun --mpi=pmix/],
    [{ PMI_SIZE: "2", PMI_RANK: "0" }, /not Open MPI's has started 2 processes/],
  ])("that could not find the others is refused: %o", (environment, message) => {
    expect(() => startedTogether(environment)).toThrow(message);
  });

  it("without the library says where it was looked for and what to do", () => {
    expect(() => loadOpenMpi({ LINGOLENS_MPI: "/nowhere/libmpi.so.40" })).toThrowError(
      expect.objectContaining({
        code: "mpi-unavailable",
        message: expect.stringMatching(
          /apt-get install openmpi-bin.*LINGOLENS_MPI.*Tried: \/nowhere\/libmpi/,
        ),
      }),
    );
  });

  it("with another library under its name says so", () => {
    expect(() => loadOpenMpi({ LINGOLENS_MPI: "libc.so.6" })).toThrow(
      /Tried: libc\.so\.6: .*MPI_Init_thread/,
    );
  });
});

function filled(length: number, valueAt: (i: number) => number): Float32Array {
  const array = new Float32Array(length);
  for (let i = 0; i < length; i++) array[i] = valueAt(i);
  return array;
}
/** As collective-rank.mjs has them. */
const values = (length: number, rank: number) => filled(length, (i) => ((i * 7 + rank * 13) % 64) / 8 + rank);
const digest = (array: Float32Array) =>
  array.length <= 64 ? [...array] : array.reduce((sum, x, i) => sum + x * ((i % 97) + 1), 0);

describe.skipIf(!hasMpirun)("ranks", () => {
  // None, fewer than ranks, and more than one piece of a call.
  it.each([
    [2, [0, 1, 3, 37, 1000, (1 << 22) + 5]],
    [4, [0, 1, 3, 37, 1000, (1 << 18) + 3]],
  ])("%i of them sum, share, gather and tell what plain sums give", async (size, lengths) => {
    const { code, stdout, stderr } = await startRanks(size, script, lengths.map(String)).finished;
    expect(code, stderr).toBe(0);
    const ranks = jsonLines(stdout).sort((a, b) => a.rank - b.rank);
    expect(ranks.map(({ rank }) => rank)).toEqual(Array.from({ length: size }, (_, rank) => rank));
    lengths.forEach((length, i) => {
      const all = Array.from({ length: size }, (_, rank) => values(length, rank));
      const sum = filled(length, (j) => all.reduce((total, of) => total + of[j]!, 0));
      const shares = all.map((_, rank) => shareOf(length, { rank, size }));
      const joined = new Float32Array(length);
      shares.forEach(({ start, end }, rank) => {
        joined.set(all[rank]!.subarray(start, end), start);
      });
      ranks.forEach(({ results, ranksHere, bytes, ticks, exchanged }, rank) => {
        const { reduced, own, shared, same, gathered, told } = results[i];
        const { start, end } = shares[rank]!;
        expect(reduced).toEqual(digest(sum));
        expect(own).toEqual(digest(sum.subarray(start, end)));
        expect(shared).toEqual(digest(sum));
        expect(same).toBe(true);
        expect(gathered).toEqual(digest(rank === 0 ? joined : all[rank]!.subarray(start, end)));
        expect(told).toEqual(digest(all[0]!));
        expect(ranksHere).toBe(size);
        expect(bytes).toEqual([1, 2]);
        expect(ticks).toBeGreaterThan(3);
        expect(exchanged).toEqual(all.map((_, of) => [of, 0.1 * of]));
      });
    });
  });
});
