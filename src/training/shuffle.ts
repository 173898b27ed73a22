import { randomNumbers } from "../model/random.js";

/** One seed of several numbers, such as the recipe's seed and an epoch: other numbers give an unrelated one. */
export function mixSeeds(...seeds: readonly number[]): number {
  return seeds.reduce((mixed, seed) => Math.floor(randomNumbers(mixed ^ seed)() * 2 ** 32), 0x9e3779b9);
}

/** Puts a list in random order, in place (Fisher & Yates). */
export function shuffle<T>(list: T[], seed: number): T[] {
  const random = randomNumbers(seed);
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j]!, list[i]!];
  }
  return list;
}
