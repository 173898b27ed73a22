import { hostname } from "node:os";
import { LingolensError } from "../errors.js";
import type { Collective } from "./collective/collective.js";
import type { Stretches } from "./parameters.js";
import { checksumLoop, type SharedLoops } from "./shared-loops.js";

/**
 * Compares checksums of the ranks' parameters, which must be the same bits in all of them.
 * @returns what to end the run with where they are not, the same on every rank
 */
export async function compareRanks(
  collective: Collective,
  loops: SharedLoops,
  parameters: Stretches,
  step: number,
): Promise<LingolensError | undefined> {
  const checksums = (await collective.exchange([await loops.run(checksumLoop, [parameters])])).flat();
  const others = checksums.flatMap((checksum, rank) => (checksum === checksums[0] ? [] : [rank]));
  if (others.length === 0) return undefined;
  return new LingolensError(
    "ranks-differ",
    `After step ${step} the parameters of rank ${others.join(", ")} are not those of rank 0 on ${hostname()}; expected the ` +
      "same bits on all. Faulty memory or network, or machines with other processors or software, may be why. Checkpoints " +
      "up to the last comparison before are sound (checkEvery): go on from one of them with --resume PATH.",
  );
}
