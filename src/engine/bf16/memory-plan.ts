/** Memory that is needed from one step of a program to another, both included. */
export interface Span {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

export interface MemoryPlan {
  /** Of each span, in bytes. */
  readonly offsets: readonly number[];
  /** Bytes in all. */
  readonly total: number;
}

/** Of a line of the processor's cache, which vectors and tiles are loaded by. */
const ALIGNMENT = 64;

/** A place for every span, such that those that are needed at one time do not overlap. */
export function planMemory(spans: readonly Span[]): MemoryPlan {
  const offsets = new Array<number>(spans.length).fill(0);
  const starting = indicesBy(spans, ({ first }) => first);
  const ending = indicesBy(spans, ({ last }) => last);
  /** Free stretches by where they begin, in that order; the last one has no end. */
  const free = [{ start: 0, end: Number.POSITIVE_INFINITY }];
  let total = 0;
  const steps = Math.max(-1, ...spans.map(({ last }) => last)) + 1;
  for (let step = 0; step < steps; step++) {
    for (const index of starting.get(step) ?? []) {
      const bytes = aligned(spans[index]!.bytes);
      if (bytes === 0) continue;
      // The smallest that is large enough: larger ones are kept for what is larger.
      let best = free.at(-1)!;
      for (const stretch of free) if (fits(stretch, bytes, best)) best = stretch;
      offsets[index] = best.start;
      best.start += bytes;
      total = Math.max(total, best.start);
      if (best.start === best.end) free.splice(free.indexOf(best), 1);
    }
    for (const index of ending.get(step) ?? []) {
      const bytes = aligned(spans[index]!.bytes);
      if (bytes > 0) giveBack(free, offsets[index]!, offsets[index]! + bytes);
    }
  }
  return { offsets, total };
}

interface Stretch {
  start: number;
  end: number;
}

function fits({ start, end }: Stretch, bytes: number, best: Stretch): boolean {
  return end - start >= bytes && end - start < best.end - best.start;
}

function giveBack(free: Stretch[], start: number, end: number): void {
  let at = free.findIndex((stretch) => stretch.start >= end);
  free.splice(at, 0, { start, end });
  if (free[at + 1]!.start === end) free.splice(at, 2, { start, end: free[at + 1]!.end });
  if (at > 0 && free[at - 1]!.end === start) {
    at--;
    free.splice(at, 2, { start: free[at]!.start, end: free[at + 1]!.end });
  }
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function indicesBy(spans: readonly Span[], key: (span: Span) => number): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  spans.forEach((span, index) => {
    const group = groups.get(key(span));
    if (group) group.push(index);
    else groups.set(key(span), [index]);
  });
  return groups;
}
