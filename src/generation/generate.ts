import { throwIfCancelled } from "../errors.js";
import { type Pausable, runInSlices } from "../pausable.js";
import type { StepResult } from "./candidates.js";
import type { Continuation, DecoderSession } from "./decoder-session.js";
import type { Search } from "./search.js";

export interface GenerateOptions {
  readonly signal?: AbortSignal;
  /** Called after every step. */
  readonly onStep?: () => void;
}

/**
 * Runs the searches of several pictures side by side, one batch a step, until all are done.
 * @param session for as many searches a picture as there are here
 * @param searches per picture of the session, one for each language; their prompts have one length
 */
export async function generate(
  session: DecoderSession,
  searches: readonly (readonly Search[])[],
  { signal, onStep }: GenerateOptions = {},
): Promise<void> {
  /** The searches by the session's rows; a row may be left over. */
  let rows: (Search | undefined)[] = searches.flat();
  let pictures = searches.length;

  for (let first = true; rows.some(isRunning); first = false) {
    throwIfCancelled(signal);
    const smaller = withoutFinished(rows, pictures);
    if (smaller) {
      await session.keep(smaller.pictures, smaller.rows);
      rows = smaller.rows.map((row) => (isRunning(rows[row]) ? rows[row] : undefined));
      pictures = smaller.pictures.length;
    }

    const running = rows.filter(isRunning) as Search[];
    const result = await session.step(
      rows.map((search) =>
        (search?.running ?? []).map((hypothesis): Continuation => {
          const { tokens, parent } = hypothesis;
          return { tokens: first ? tokens : tokens.slice(-1), parent };
        }),
      ),
      {
        top: Math.max(...running.map(({ width }) => width)),
        edited: running.flatMap(({ edits }) => edits.map(({ ids }) => ids)),
      },
    );
    await runInSlices(advanceAll(running, result));
    onStep?.();
  }
}

/** Lets every search take in its rows of the result. Hundreds of them take longer than others should wait. */
function* advanceAll(searches: readonly Search[], result: StepResult): Pausable<void> {
  let place = 0;
  for (const search of searches) {
    const rows = search.running.map(() => place++);
    search.advance(result, rows);
    yield;
  }
}

function isRunning(search: Search | undefined): boolean {
  return search !== undefined && search.running.length > 0;
}

/**
 * The rows that are left without finished pictures and searches, as many for each picture; undefined where that would
 * not spare enough to be worth the move.
 */
function withoutFinished(
  rows: readonly (Search | undefined)[],
  pictures: number,
): { pictures: number[]; rows: number[] } | undefined {
  const each = rows.length / pictures;
  const own = Array.from({ length: pictures }, (_, picture) => {
    const all = Array.from({ length: each }, (_, i) => picture * each + i);
    return { picture, running: all.filter((row) => isRunning(rows[row])), all };
  });
  const left = own.filter(({ running }) => running.length > 0);
  const most = Math.max(...left.map(({ running }) => running.length));
  if (left.length * most > rows.length * WORTH_MOVING) return undefined;
  return {
    pictures: left.map(({ picture }) => picture),
    // A picture with fewer keeps finished ones for company.
    rows: left.flatMap(({ running, all }) => {
      const idle = all.filter((row) => !running.includes(row));
      return [...running, ...idle].slice(0, most);
    }),
  };
}

/** Share of the rows below which they are moved together. */
const WORTH_MOVING = 0.75;
