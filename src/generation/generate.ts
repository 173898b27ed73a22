import { throwIfCancelled } from "../errors.js";
import type { DecoderSession } from "./decoder-session.js";
import type { Search } from "./search.js";

export interface GenerateOptions {
  readonly signal?: AbortSignal;
  /** Called after every step. */
  readonly onStep?: () => void;
}

/**
 * Runs the searches of several pictures side by side, one batch a step, until all are done.
 * @param searches per picture of the session, one for each language; their prompts have one length
 */
export async function generate(
  session: DecoderSession,
  searches: readonly (readonly Search[])[],
  { signal, onStep }: GenerateOptions = {},
): Promise<void> {
  const isRunning = (search: Search): boolean => search.running.length > 0;
  /** Where the hypotheses of each search stood in the last step's rows. */
  let places = new Map<Search, number[]>();
  /** The searches of each picture that the session still holds. */
  let active = searches.map((all) => [...all]);

  while (active.some((all) => all.some(isRunning))) {
    throwIfCancelled(signal);
    const kept = [...active.keys()].filter((picture) => active[picture]!.some(isRunning));
    session.keepPictures(kept);
    active = kept.map((picture) => active[picture]!.filter(isRunning));

    const { rows, places: newPlaces } = layOut(active);
    const request = {
      top: Math.max(...active.flat().map(({ width }) => width)),
      edited: rows.map(({ edited }) => edited),
    };
    const hypotheses = rows.map(({ search, index }) => search.running[index]!);
    const result =
      places.size === 0
        ? await session.prefill(
            hypotheses.map(({ tokens }) => tokens),
            request,
          )
        : await session.step(
            hypotheses.map(({ tokens }) => tokens.at(-1)!),
            rows.map(({ search, index }) => places.get(search)![search.running[index]!.parent]!),
            request,
          );
    for (const [search, at] of newPlaces) search.advance(result, at);
    places = newPlaces;
    onStep?.();
  }
}

interface Row {
  readonly search: Search;
  /** Of the search's running hypotheses. */
  readonly index: number;
  /** Ids whose scores the search will change. */
  readonly edited: readonly number[];
}

/** One row a hypothesis, picture by picture; pictures with fewer get their first again until all have as many. */
function layOut(active: readonly (readonly Search[])[]): { rows: Row[]; places: Map<Search, number[]> } {
  const perPicture = active.map((all) => {
    return all.flatMap((search) =>
      search.edits.map(({ ids }, index): Row => ({ search, index, edited: ids })),
    );
  });
  const captions = Math.max(...perPicture.map((rows) => rows.length));
  const places = new Map<Search, number[]>();
  const rows = perPicture.flatMap((own, picture) => {
    own.forEach(({ search }, i) => {
      places.set(search, [...(places.get(search) ?? []), picture * captions + i]);
    });
    return [...own, ...Array<Row>(captions - own.length).fill(own[0]!)];
  });
  return { rows, places };
}
