/**
 * The whole numbers that NumPy's `default_rng(seed).choice(below, size)` draws, bit for bit, because sacreBLEU's
 * resamples are made of them. The generator is PCG64 (O'Neill 2014, https://www.pcg-random.org/paper.html), seeded
 * through NumPy's SeedSequence; bounds are kept by Lemire's method (https://arxiv.org/abs/1805.10941).
 */

/** Draws the next number from 0 to below - 1. */
export type Draw = () => number;

const WORD = 2 ** 32;

/**
 * @param seed from 0 to 2³² - 1
 * @param below from 1 to 2³² - 1
 */
export function numpyChoices(seed: number, below: number): Draw {
  if (below === 1) return () => 0;
  const next = pcg64(seed);
  // The products below this are the surplus that would make some numbers likelier than others.
  const surplus = WORD % below;
  return () => {
    for (;;) {
      const word = next();
      // word × below has 64 bits, more than a double keeps: its upper and lower 32.
      const upper = (word >>> 16) * below;
      const lower = (word & 0xffff) * below;
      const carry = Math.floor(lower / DIGIT);
      const high = Math.floor((upper + carry) / DIGIT);
      const low = (upper + carry - high * DIGIT) * DIGIT + (lower - carry * DIGIT);
      if (low >= surplus) return high;
    }
  };
}

/** 128 bits as eight digits of 16, the lowest first: sums of their products are exact in doubles. */
type Wide = Float64Array;

const DIGITS = 8;
const DIGIT = 0x10000;
const MULTIPLIER = Float64Array.of(0xf645, 0x9fcc, 0xdf64, 0x4385, 0x5da4, 0x1fc6, 0xed05, 0x2360);

/** 32 bits at a time: the lower half of PCG64's 64, then the upper. */
function pcg64(seed: number): () => number {
  const words = seedWords(seed);
  const wide = (low: number, ...above: number[]): Wide =>
    Float64Array.from({ length: DIGITS }, (_, i) => ([low, ...above][i >> 1] ?? 0) >>> (16 * (i % 2))).map(
      (digit) => digit % DIGIT,
    );
  const increment = new Float64Array(DIGITS);
  multiplyAdd(wide(words[6]!, words[7]!, words[4]!, words[5]!), wide(2), wide(1), increment);
  let state = new Float64Array(DIGITS);
  let next = new Float64Array(DIGITS);
  const advance = () => {
    multiplyAdd(state, MULTIPLIER, increment, next);
    [state, next] = [next, state];
  };
  multiplyAdd(wide(words[2]!, words[3]!, words[0]!, words[1]!), wide(1), increment, state);
  advance();

  const folded = (digit: number) =>
    ((state[digit]! ^ state[digit + 4]!) | ((state[digit + 1]! ^ state[digit + 5]!) << 16)) >>> 0;
  let waiting = -1;
  return () => {
    if (waiting >= 0) {
      const word = waiting;
      waiting = -1;
      return word;
    }
    advance();
    const rotation = state[DIGITS - 1]! >>> 10;
    const swapped = rotation >= 32;
    const low = folded(swapped ? 2 : 0);
    const high = folded(swapped ? 0 : 2);
    waiting = shifted(high, low, rotation % 32);
    return shifted(low, high, rotation % 32);
  };
}

/** The lower 32 of 64 bits that are shifted right by 0 to 31. */
function shifted(low: number, high: number, shift: number): number {
  return shift === 0 ? low : ((low >>> shift) | (high << (32 - shift))) >>> 0;
}

/** Writes a × b + c, without what exceeds 128 bits. */
function multiplyAdd(a: Wide, b: Wide, c: Wide, result: Wide): void {
  let sum = 0;
  for (let i = 0; i < DIGITS; i++) {
    sum += c[i]!;
    for (let j = 0; j <= i; j++) sum += a[j]! * b[i - j]!;
    const carry = Math.floor(sum / DIGIT);
    result[i] = sum - carry * DIGIT;
    sum = carry;
  }
}

const POOL = 4;

/** The first eight words that `SeedSequence(seed)` makes (after O'Neill's seed_seq_fe128). */
function seedWords(seed: number): number[] {
  const multiply = Math.imul;
  const fold = (value: number) => value ^ (value >>> 16);

  let constant = 0x43b0d7e5;
  const hash = (value: number) => {
    const mixed = value ^ constant;
    constant = multiply(constant, 0x931e8875);
    return fold(multiply(mixed, constant));
  };
  const pool = Array.from({ length: POOL }, (_, i) => hash(i === 0 ? seed : 0));
  for (let from = 0; from < POOL; from++) {
    for (let to = 0; to < POOL; to++) {
      if (from === to) continue;
      const hashed = hash(pool[from]!);
      pool[to] = fold(multiply(0xca01f9dd, pool[to]!) - multiply(0x4973f715, hashed));
    }
  }

  constant = 0x8b51f9dd;
  return Array.from({ length: 2 * POOL }, (_, i) => {
    const mixed = pool[i % POOL]! ^ constant;
    constant = multiply(constant, 0x58f38ded);
    return fold(multiply(mixed, constant)) >>> 0;
  });
}
