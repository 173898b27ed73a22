/**
 * Seeded random numbers: a counter run through a mixer (SplitMix32), so that equal seeds give equal numbers on
 * every machine.
 * @param skip How many of the first numbers to leave out, at no cost.
 * @returns a function that gives numbers in [0, 1)
 */
export function randomNumbers(seed: number, skip = 0): () => number {
  let state = (seed + Math.imul(skip, 0x9e3779b9)) >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** Normally distributed numbers of mean 0 and deviation 1 (Box & Muller 1958), without the first `skip` of them. */
export function normalNumbers(seed: number, skip = 0): () => number {
  const uniform = randomNumbers(seed, 2 * skip);
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
