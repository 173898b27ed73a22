// Sums over ranks through Collective against Open MPI called from C, on the same buffers, by turns. After: npm run build
//
//   node bench/allreduce.mjs [--ranks 2,4] [--rounds 3]
//
// GB/s is the buffer's size by the best time of any round, from barrier to barrier. "all-reduce" is Collective.allReduce;
// "in shares" what training does: reduceScatter, then allGather.
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
const [MEGABYTES, REPETITIONS] = [[4, 16, 64, 256], 5];
const counts = MEGABYTES.map((megabytes) => (megabytes << 20) / 4);

if (values.measure) await measure();
else compare();

/** One of the ranks. */
async function measure() {
  const collective = joinRanks();
  for (const count of counts) {
    const [buffer] = sharedStretches([count]);
    const time = async (work) => {
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < REPETITIONS; i++) {
        await collective.barrier();
        const start = performance.now();
        await work();
        await collective.barrier();
        best = Math.min(best, (performance.now() - start) / 1000);
      }
      return best;
    };
    const seconds = await time(() => collective.allReduce(buffer));
    const inShares = await time(async () => {
      await collective.reduceScatter(buffer);
      await collective.allGather(buffer);
    });
    if (collective.rank === 0) console.log(JSON.stringify({ count, seconds, inShares }));
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
  const best = { raw: [], seconds: [], inShares: [] };
  const note = (name, i, seconds) => {
    best[name][i] = Math.min(best[name][i] ?? Number.POSITIVE_INFINITY, seconds);
  };
  for (let round = 0; round < Number(values.rounds); round++) {
    mpirun(ranks, [raw, String(REPETITIONS), ...counts.map(String)]).forEach(({ seconds }, i) => {
      note("raw", i, seconds);
    });
    const node = [process.execPath, fileURLToPath(import.meta.url), "--measure", "1"];
    mpirun(ranks, node).forEach(({ seconds, inShares }, i) => {
      note("seconds", i, seconds);
      note("inShares", i, inShares);
    });
  }
  console.log(`${ranks} ranks      C   all-reduce       in shares`);
  counts.forEach((count, i) => {
    const speed = (name) => ((4e-9 * count) / best[name][i]).toFixed(2).padStart(5);
    const ratio = (name) => (best.raw[i] / best[name][i]).toFixed(2);
    const [size, [seconds, shares]] = [`${MEGABYTES[i]} MB`.padStart(7), ["seconds", "inShares"]];
    console.log(
      `${size} ${speed("raw")} GB/s  ${speed(seconds)} (${ratio(seconds)})  ${speed(shares)} (${ratio(shares)})`,
    );
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
