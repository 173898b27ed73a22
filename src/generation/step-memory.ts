import type { HostTensors } from "../engine/compile.js";

/**
 * What the steps of searches read besides their new tokens, and where they are computed: keys and values of pictures, and of
 * the tokens so far. A row belongs to a search, and a token takes the next slot of its row.
 */
export interface StepMemory {
  /** Pictures that are left. */
  readonly pictures: number;
  /** Searches that are left, finished ones that are kept for company counted. */
  readonly rows: number;
  /** Slots of a row that a step sees, used or not. */
  readonly slots: number;
  /** Slots in use, the first of every row. */
  readonly used: number;
  /** Whether so many tokens more may be taken in without giving up slots first. */
  hasRoom(length: number): boolean;
  /**
   * Runs `searchStep`, and takes in the keys and values of its tokens.
   * @param feeds what it takes but for `cross.*` and `cache.*`
   * @param length tokens of a row
   * @returns `logSumExp`, `topLogits`, `topIds`, `editedLogits`
   */
  step(feeds: HostTensors, length: number): Promise<HostTensors>;
  /**
   * Keeps some rows, in a new order, and of each the slots that are still needed, which move to its beginning: slot
   * `needed[row][i]` becomes slot i. Afterwards there is room for `length` more.
   * @param needed per kept row, ascending
   */
  rebuild(kept: readonly number[], needed: readonly (readonly number[])[], length: number): Promise<void>;
  /** Forgets the other pictures. */
  keepPictures(pictures: readonly number[]): Promise<void>;
  /** Gives its memory back; no step may be running. */
  close(): Promise<void>;
}
