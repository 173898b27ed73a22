import { LingolensError } from "../../errors.js";
import type { Collective } from "./collective.js";
import { oneProcess } from "./one-process.js";
import { OpenMpi } from "./open-mpi.js";

/**
 * Joins the processes that `mpirun` or `srun --mpi=pmix` has started together with this one; where it was started
 * alone, MPI is not even looked for.
 * @throws {LingolensError} `mpi-unavailable`, `option-unsupported`
 */
export function joinRanks(): Collective {
  return startedTogether(process.env) ? OpenMpi.join() : oneProcess;
}

/**
 * Whether a launcher that Open MPI can talk to has started several processes.
 * @throws {LingolensError} `option-unsupported` for another launcher: every process would train the whole alone, into one
 * folder
 */
export function startedTogether(environment: NodeJS.ProcessEnv): boolean {
  const number = (name: string) => Number(environment[name] ?? Number.NaN);
  const ofOpenMpi = number("OMPI_COMM_WORLD_SIZE");
  if (ofOpenMpi >= 1) return ofOpenMpi > 1;
  const tasks = number("SLURM_STEP_NUM_TASKS");
  // PMIx says which process this is, but only its library says of how many.
  if (environment.PMIX_RANK !== undefined) return tasks !== 1;
  if (tasks > 1)
    throw new LingolensError(
      "option-unsupported",
      `srun has started ${tasks} tasks that know nothing of each other. To train with all of them: srun --mpi=pmix …`,
    );
  if (number("PMI_SIZE") > 1)
    throw new LingolensError(
      "option-unsupported",
      `A launcher that is not Open MPI's has started ${environment.PMI_SIZE} processes. Start them with Open MPI's mpirun, ` +
        "or with srun --mpi=pmix.",
    );
  return false;
}
