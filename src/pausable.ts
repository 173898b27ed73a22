import { Turns } from "./engine/turns.js";

/**
 * Long work in plain JavaScript that can let others go on meanwhile: a generator that yields wherever it may pause,
 * every fraction of a millisecond.
 */
export type Pausable<T> = Generator<void, T, void>;

/** Does the work without a pause. */
export function runAtOnce<T>(work: Pausable<T>): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

/** Milliseconds of work between two visits to the event loop. */
const SLICE = 8;

/** One work at a time: the event loop wakes all that wait for it before it looks at anything else. */
const turns = new Turns(1);
let sliceEnd = 0;

/** Does the work in slices of a few milliseconds, between which timers, sockets and files have their turn. */
export async function runInSlices<T>(work: Pausable<T>): Promise<T> {
  for (;;) {
    const step = await turns.take(() => nextSlice(work));
    if (step.done) return step.value;
  }
}

async function nextSlice<T>(work: Pausable<T>): Promise<IteratorResult<void, T>> {
  if (performance.now() >= sliceEnd) {
    await nextTurn();
    sliceEnd = performance.now() + SLICE;
  }
  for (;;) {
    const step = work.next();
    if (step.done || performance.now() >= sliceEnd) return step;
  }
}

/** Lets whoever waits for the event loop go first. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === "function") setImmediate(resolve);
    else setTimeout(resolve);
  });
}
