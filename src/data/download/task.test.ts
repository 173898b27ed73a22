import { describe, expect, it } from "vitest";
import { taskOf } from "./task.js";

describe("taskOf", () => {
  const slurm = { SLURM_ARRAY_TASK_ID: "5", SLURM_ARRAY_TASK_MIN: "1", SLURM_ARRAY_TASK_COUNT: "16" };
  it.each([
    ["alone", {}, {}, 0, 1],
    ["in a Slurm array", {}, slurm, 4, 16],
    ["in a Slurm array of another size than the work's", { taskCount: 32 }, slurm, 4, 32],
    ["in an Indexed Job", { taskCount: 8 }, { JOB_COMPLETION_INDEX: "7" }, 7, 8],
    ["as told, whatever the scheduler says", { taskIndex: 2, taskCount: 3 }, slurm, 2, 3],
  ])("%s", (_, given, env, taskIndex, taskCount) => {
    expect(taskOf(given, env)).toEqual({ taskIndex, taskCount });
  });

  it.each([
    ["an index without a count", {}, { JOB_COMPLETION_INDEX: "7" }],
    ["a count without an index", { taskCount: 3 }, {}],
    ["an index that the count does not have", { taskIndex: 3, taskCount: 3 }, {}],
    ["an array with gaps", {}, { ...slurm, SLURM_ARRAY_TASK_ID: "40" }],
  ])("refuses %s", (_, given, env) => {
    expect(() => taskOf(given, env)).toThrow(expect.objectContaining({ code: "option-unsupported" }));
  });
});
