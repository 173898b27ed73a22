import type { Collective } from "./collective.js";

const nothing = async (): Promise<void> => {};

/** A process that trains alone: sums over all ranks are its own values. */
export const oneProcess: Collective = {
  rank: 0,
  size: 1,
  ranksHere: 1,
  allReduce: nothing,
  reduceScatter: nothing,
  allGather: nothing,
  gather: nothing,
  broadcast: nothing,
  exchange: async (numbers) => [numbers],
  barrier: nothing,
  close: nothing,
};
