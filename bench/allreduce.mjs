// Sums over ranks through Collective against Open MPI called from C, on the same buffers, by turns. After: npm run build
//
//   node bench/allreduce.mjs [--ranks 2,4] [--rounds 3]
//
// GB/s is the buffer's size by the best time of any round, after a barrier, on rank 0. C sums whole buffers, and the pieces that
// Collective cuts them in. "all-reduce" is Collective.allReduce; "in shares" what training does: reduceScatter, then
// allGather. In brackets, over the faster of C's two.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { joinRanks } from "../dist/training/collective/join-ranks.js";
import { sharedStretches } from "../dist/training/shared-memory.js";

const { values } = parseArgs({
  options: {
    ranks: { type: "string", default: "2,4" },
    rounds: { type: "string", default: "3" },
    measure: { type: "string" },
  },
});
const MEGABYTES = [4, 16, 64, 256];
const counts = MEGABYTES.map((megabytes) => (megabytes << 20) / 4);
/** Floats of a piece, as src/training/collective/open-mpi.ts has it, and in all repetitions of a size. */
const [PIECE, SUMMED] = [1 << 21, 3 << 26];

if (values.measure) await measure();
else compare();

/** One of the ranks. */
async function measure() {
  const collective = joinRanks();
  for (const count of counts) {
    const [buffer] = sharedStretches([count]);
    const time = async (work) => {
      const repetitions = Math.floor(SUMMED / count);
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < repetitions; i++) {
        await collective.barrier();
        const start = performance.now();
        await work();
        best = Math.min(best, (performance.now() - start) / 1000);
      }
      return best;
    };
    const allReduce = await time(() => collective.allReduce(buffer));
    const inShares = await time(async () => {
      await collective.reduceScatter(buffer);
      await collective.allGather(buffer);
    });
    if (collective.rank === 0) console.log(JSON.stringify({ allReduce, inShares }));
  }
  await collective.close();
}

function compare() {
  const folder = mkdtempSync(join(tmpdir(), "lingolens-allreduce-"));
  try {
    const raw = join(folder, "allreduce");
    const source = fileURLToPath(new URL("allreduce.c", import.meta.url));
    execFileSync("cc", ["-O2", source, "-o", raw, "-l:libmpi.so.40"], { stdio: "inherit" });
    for (const ranks of values.ranks.split(",")) compareWith(ranks, raw);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function compareWith(ranks, raw) {
  const best = { whole: [], pieces: [], allReduce: [], inShares: [] };
  const note = (line, i) => {
    for (const [name, seconds] of Object.entries(line))
      best[name][i] = Math.min(best[name][i] ?? Number.POSITIVE_INFINITY, seconds);
  };
  for (let round = 0; round < Number(values.rounds); round++) {
    mpirun(ranks, [raw, ...[PIECE, SUMMED, ...counts].map(String)]).forEach(note);
    mpirun(ranks, [process.execPath, fileURLToPath(import.meta.url), "--measure", "1"]).forEach(note);
  }
  console.log(`${ranks} ranks  C, whole  in pieces   all-reduce      in shares`);
  counts.forEach((count, i) => {
    const speed = (name) => ((4e-9 * count) / best[name][i]).toFixed(2).padStart(5);
    const ratio = (name) => (Math.min(best.whole[i], best.pieces[i]) / best[name][i]).toFixed(2);
    const [size, gbs] = [`${MEGABYTES[i]} MB`.padStart(7), ["whole", "pieces"].map(speed).join("      ")];
    const ours = ["allReduce", "inShares"].map((name) => `${speed(name)} (${ratio(name)})`);
    console.log(`${size}  ${gbs} GB/s  ${ours.join("   ")}`);
  });
}

/** What rank 0 prints, line by line. */
function mpirun(ranks, command) {
  const settings = { OMPI_ALLOW_RUN_AS_ROOT: "1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1" };
  const printed = execFileSync("mpirun", ["--oversubscribe", "-n", ranks, ...command], {
    encoding: "utf8",
    env: { ...process.env, ...settings },
  });
  return printed
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}
