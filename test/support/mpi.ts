/** Starts programs as several processes that know of each other, with Open MPI's `mpirun`. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { Finished } from "./command-line.js";

/** Where it is not, tests of several processes are skipped. */
export const hasMpirun = spawnSync("mpirun", ["--version"]).status === 0;

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** Tests may run as root and with fewer processors than processes, both of which mpirun refuses unless told to. */
const MPIRUN = ["--allow-run-as-root", "--oversubscribe", "-n"];

export interface Ranks {
  /** mpirun itself. */
  readonly child: ChildProcessWithoutNullStreams;
  readonly finished: Promise<Finished>;
}

/** Runs a script of Node as several ranks. */
export function startRanks(count: number, script: string, args: readonly string[]): Ranks {
  // One that hangs fails its test, and does not outlive it.
  const child = spawn("mpirun", [...MPIRUN, String(count), process.execPath, script, ...args], {
    timeout: 50_000,
  });
  child.stdin.end();
  const closed = new Promise<number | null>((resolve, reject) => {
    child.on("close", resolve).on("error", reject);
  });
  const finished = Promise.all([closed, text(child.stdout), text(child.stderr)]).then(
    ([code, stdout, stderr]) => ({ code, stdout, stderr }),
  );
  return { child, finished };
}

/** Runs the built command line as several ranks. */
export const startCommand = (count: number, args: readonly string[]): Ranks => startRanks(count, main, args);

/** Process id of a rank, once it runs. */
export function pidOfRank({ child }: Ranks, rank: number): number | undefined {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const parent = /^\d+ \(.*\) \w (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1];
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
      if (Number(parent) === child.pid && environment.includes(`OMPI_COMM_WORLD_RANK=${rank}`))
        return Number(pid);
    } catch {} // It has ended meanwhile.
  }
  return undefined;
}
