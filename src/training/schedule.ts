export interface ScheduleOptions {
  /** The highest learning rate. */
  readonly learningRate: number;
  /** Steps over which it rises from 0. */
  readonly warmupSteps: number;
  /** The step at which it is back at 0. */
  readonly steps: number;
}

/** Learning rate of step 0, 1, …: up from 0 in a straight line, then down to 0 in another. */
export function learningRateAt(step: number, { learningRate, warmupSteps, steps }: ScheduleOptions): number {
  if (step < warmupSteps) return (learningRate * step) / warmupSteps;
  return learningRate * Math.max(0, (steps - step) / (steps - warmupSteps));
}
