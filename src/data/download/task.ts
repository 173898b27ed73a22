/** Which of many equal commands this is: a scheduler says so in the environment, or its user on the command line. */
import { LingolensError } from "../../errors.js";

export interface Task {
  readonly taskIndex: number;
  readonly taskCount: number;
}

/**
 * What was given, or else what Slurm (job arrays) or Kubernetes (Indexed Jobs, which do not say how many) set.
 * @throws {LingolensError} `option-unsupported` for an index without a count, or one that the count does not have
 */
export function taskOf(
  given: { readonly taskIndex?: number | undefined; readonly taskCount?: number | undefined },
  env: Readonly<Record<string, string | undefined>>,
): Task {
  const { SLURM_ARRAY_TASK_ID: id, SLURM_ARRAY_TASK_MIN: least = "0", SLURM_ARRAY_TASK_COUNT: count } = env;
  const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));
  const taskIndex =
    given.taskIndex ?? (id !== undefined ? Number(id) - Number(least) : number(env.JOB_COMPLETION_INDEX));
  const taskCount = given.taskCount ?? (given.taskIndex === undefined ? number(count) : undefined);
  if (taskIndex === undefined && taskCount === undefined) return { taskIndex: 0, taskCount: 1 };
  if (taskIndex !== undefined && taskCount !== undefined && taskIndex >= 0 && taskIndex < taskCount)
    return { taskIndex, taskCount };
  throw new LingolensError(
    "option-unsupported",
    `Task ${taskIndex ?? "without a number"} of ${taskCount ?? "an unknown number"}: expected a number from 0 to one ` +
      "below the number of tasks. Give --task-index and --task-count; a job array with gaps needs both.",
  );
}
