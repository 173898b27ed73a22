// Sums over ranks through Collective against MPI itself, called at once on the same buffers in the same processes, by turns.
// After: npm run build
//
//   node bench/allreduce.mjs [--ranks 2,4] [--rounds 3]
//
// GB/s is the buffer's size by the best time, after a barrier, on rank 0. MPI sums whole buffers, and the pieces that
// Collective cuts them in. "all-reduce" is Collective.allReduce; "in shares" what training does: reduceScatter, then
// allGather. In brackets, over the faster of MPI's two. Needs a processor a rank that nothing else uses: MPI waits actively.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { sharedStretches } from "../dist/shared-memory.js";
import { joinRanks } from "../dist/training/collective/join-ranks.js";
import { loadOpenMpi } from "../dist/training/collective/open-mpi-library.js";

const { values } = parseArgs({
  options: {
    ranks: { type: "string", default: "2,4" },
    rounds: { type: "string", default: "3" },
    measure: { type: "boolean", default: false },
  },
});
const MEGABYTES = [4, 16, 64, 256];
/** Floats of a piece, as src/training/collective/open-mpi.ts has it, and in all repetitions of a size. */
const [PIECE, SUMMED] = [1 << 21, 1 << 28];

if (values.measure) await measure();
else for (const ranks of values.ranks.split(",")) compare(ranks);

/** One of the ranks. */
async function measure() {
  const collective = joinRanks();
  const { functions, handles } = loadOpenMpi();
  const inPlace = 1n;
  const raw = (buffer, piece) => {
    for (let start = 0; start < buffer.length; start += piece) {
      const part = buffer.subarray(start, start + piece);
      functions.Allreduce(inPlace, part, part.length, handles.float, handles.sum, handles.world);
    }
  };
  for (const megabytes of MEGABYTES) {
    const count = (megabytes << 20) / 4;
    const [buffer] = sharedStretches([count]);
    const ways = {
      whole: () => raw(buffer, count),
      pieces: () => raw(buffer, PIECE),
      allReduce: () => collective.allReduce(buffer),
      inShares: async () => {
        await collective.reduceScatter(buffer);
        await collective.allGather(buffer);
      },
    };
    const best = {};
    for (let i = 0; i < Math.max(3, Math.min(50, SUMMED / count)); i++)
      for (const [name, way] of Object.entries(ways)) {
        await collective.barrier();
        const start = performance.now();
        await way();
        best[name] = Math.min(best[name] ?? Number.POSITIVE_INFINITY, (performance.now() - start) / 1000);
      }
    if (collective.rank === 0) console.log(JSON.stringify(best));
  }
  await collective.close();
}

function compare(ranks) {
  const best = MEGABYTES.map(() => ({}));
  for (let round = 0; round < Number(values.rounds); round++) {
    mpirun(ranks).forEach((line, i) => {
      for (const [name, seconds] of Object.entries(line))
        best[i][name] = Math.min(best[i][name] ?? Number.POSITIVE_INFINITY, seconds);
    });
  }
  console.log(`${ranks} ranks  MPI whole  in pieces      all-reduce      in shares`);
  best.forEach((seconds, i) => {
    const speed = (name) => ((MEGABYTES[i] * 2 ** 20) / 1e9 / seconds[name]).toFixed(2).padStart(6);
    const ratio = (name) => (Math.min(seconds.whole, seconds.pieces) / seconds[name]).toFixed(2);
    const [size, gbs] = [`${MEGABYTES[i]} MB`.padStart(7), ["whole", "pieces"].map(speed).join("     ")];
    const ours = ["allReduce", "inShares"].map((name) => `${speed(name)} (${ratio(name)})`);
    console.log(`${size}    ${gbs} GB/s  ${ours.join("  ")}`);
  });
}

/** What rank 0 prints, line by line. */
function mpirun(ranks) {
  const settings = { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };
  const command = [process.execPath, fileURLToPath(import.meta.url), "--measure"];
  const printed = execFileSync("mpirun", ["--oversubscribe", "-n", ranks, ...command], {
    encoding: "utf8",
    env: { ...process.env, ...settings },
  });
  return printed
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}
