/**
 * METEOR 1.5 (Denkowski and Lavie 2014, https://aclanthology.org/W14-3348) with its exact and its stem stage alone:
 * words match that are the same or have one stem. The synonym and paraphrase stages need tables of many megabytes, so
 * that this score is somewhat lower than that of the Java program.
 */
import { functionWords } from "./function-words.js";
import { loadStemmer, type Stem } from "./stemmers.js";

interface Parameters {
  /** Weight of recall against precision. */
  readonly alpha: number;
  /** Shape and greatest size of the penalty for scattered matches. */
  readonly beta: number;
  readonly gamma: number;
  /** Weight of content words against function words. */
  readonly delta: number;
  /** What a match of stems counts. */
  readonly stem: number;
}

/** As tuned by METEOR's authors to human ranking, where they did. */
const PARAMETERS: Readonly<Record<string, Parameters>> = {
  cs: { alpha: 0.95, beta: 0.2, gamma: 0.6, delta: 0.8, stem: 0.4 },
  de: { alpha: 0.95, beta: 1, gamma: 0.55, delta: 0.55, stem: 0.8 },
  en: { alpha: 0.85, beta: 0.2, gamma: 0.6, delta: 0.75, stem: 0.6 },
  es: { alpha: 0.65, beta: 1.3, gamma: 0.5, delta: 0.8, stem: 0.8 },
  fr: { alpha: 0.9, beta: 1.4, gamma: 0.6, delta: 0.65, stem: 0.2 },
};
const OTHER: Parameters = { alpha: 0.75, beta: 1.4, gamma: 0.7, delta: 0.5, stem: 0.5 };

export interface MeteorLanguage {
  readonly parameters: Parameters;
  readonly isFunctionWord: (word: string) => boolean;
  readonly stem: Stem | undefined;
}

/** @param lang ISO code */
export async function loadMeteorLanguage(lang: string): Promise<MeteorLanguage> {
  const words = functionWords(lang);
  return {
    parameters: PARAMETERS[lang] ?? OTHER,
    isFunctionWord: (word) => words.has(word),
    stem: await loadStemmer(lang),
  };
}

/**
 * Of one caption against its best reference: words, function words among them, matched content and function words
 * (exact, then by stem), each of the caption and of the reference; last the number of chunks, runs of matches that are
 * neighbours in both.
 */
export type MeteorStatistics = readonly number[];

const COLUMNS = 13;
const CHUNKS = COLUMNS - 1;

/** @param references tokens of at least one reference */
export function meteorStatistics(
  hypothesis: readonly string[],
  references: readonly (readonly string[])[],
  language: MeteorLanguage,
): MeteorStatistics {
  const rows = references.map((reference) => statisticsOf(hypothesis, reference, language));
  const score = (row: MeteorStatistics) => meteorOf(row, language);
  return rows.reduce((best, row) => (score(row) > score(best) ? row : best));
}

/** From 0 to 1, from the sum of captions' statistics. */
export function meteorOf(statistics: MeteorStatistics, { parameters }: MeteorLanguage): number {
  const { alpha, beta, gamma, delta, stem } = parameters;
  const chunks = statistics[CHUNKS]!;
  const weigh = (content: number, functions: number) => delta * content + (1 - delta) * functions;
  let matches = 0;
  const [precision, recall] = [0, 1].map((side) => {
    const at = (column: number) => statistics[column + side]!;
    matches += (at(4) + at(6) + at(8) + at(10)) / 2;
    const found = weigh(at(4), at(6)) + stem * weigh(at(8), at(10));
    return found / weigh(at(0) - at(2), at(2));
  }) as [number, number];
  if (matches === 0) return 0;
  const mean = 1 / ((1 - alpha) / precision + alpha / recall);
  const perfect = chunks === 1 && statistics[0] === matches && statistics[1] === matches;
  return mean * (1 - (perfect ? 0 : gamma * (chunks / matches) ** beta));
}

function statisticsOf(
  hypothesis: readonly string[],
  reference: readonly string[],
  language: MeteorLanguage,
): number[] {
  const row = new Array<number>(COLUMNS).fill(0);
  for (const [side, words] of [hypothesis, reference].entries()) {
    row[side] = words.length;
    row[2 + side] = words.filter(language.isFunctionWord).length;
  }
  const { matches, chunks } = align(hypothesis, reference, language.stem);
  for (const { from, to, exact } of matches) {
    for (const [side, word] of [hypothesis[from]!, reference[to]!].entries())
      row[(exact ? 4 : 8) + (language.isFunctionWord(word) ? 2 : 0) + side]! += 1;
  }
  row[CHUNKS] = chunks;
  return row;
}

interface Match {
  /** Place in the caption. */
  readonly from: number;
  /** Place in the reference. */
  readonly to: number;
  readonly exact: boolean;
}

/** An alignment of the caption's first words: its last match, and those before it. */
interface Path {
  readonly match: Match | undefined;
  readonly before: Path | undefined;
  /** Exact matches count 1, others 1/2. */
  readonly weight: number;
  readonly chunks: number;
  /** Of matched words' places, summed. */
  readonly distance: number;
}

const BEAM = 40;
/** Words of caption times reference above which the search is given up: no caption is that long. */
const LARGEST_SEARCH = 20_000;

/** Each word at most once; the most matches, then the fewest chunks, then the shortest distances. */
function align(
  hypothesis: readonly string[],
  reference: readonly string[],
  stem: Stem | undefined,
): { matches: Match[]; chunks: number } {
  const candidates = candidatesOf(hypothesis, reference, stem);
  const wanted = new Uint32Array(reference.length);
  for (const { to } of candidates.flat()) wanted[to]! += 1;

  let paths: Path[] = [{ match: undefined, before: undefined, weight: 0, chunks: 0, distance: 0 }];
  for (const matches of candidates) {
    if (matches.length === 0) continue;
    const longer = paths.flatMap((path) =>
      matches.filter(({ to }) => !isTaken(path, to)).map((match) => extend(path, match)),
    );
    // Leaving a word out pays only where another wants what it could match.
    if (longer.length === 0 || matches.some(({ to }) => wanted[to]! > 1)) longer.push(...paths);
    paths = longer.length > 1 ? longer.sort(compare).slice(0, BEAM) : longer;
  }
  const found: Match[] = [];
  for (let path: Path | undefined = paths[0]; path?.match; path = path.before) found.push(path.match);
  return { matches: found, chunks: paths[0]!.chunks };
}

function candidatesOf(
  hypothesis: readonly string[],
  reference: readonly string[],
  stem: Stem | undefined,
): Match[][] {
  const places = new Map<string, number[]>();
  const stems = new Map<string, number[]>();
  const note = (map: Map<string, number[]>, key: string, place: number) => {
    const list = map.get(key);
    if (list) list.push(place);
    else map.set(key, [place]);
  };
  for (const [place, word] of reference.entries()) {
    note(places, word, place);
    if (stem) note(stems, stem(word), place);
  }
  if (hypothesis.length * reference.length > LARGEST_SEARCH) {
    // A word's first occurrence matches its first, its second the second, and so on.
    return hypothesis.map((word, from) => {
      const to = places.get(word)?.shift();
      return to === undefined ? [] : [{ from, to, exact: true }];
    });
  }
  return hypothesis.map((word, from) => {
    const same = places.get(word) ?? [];
    const alike = (stem && stems.get(stem(word))) ?? [];
    return [
      ...same.map((to) => ({ from, to, exact: true })),
      ...alike.filter((to) => reference[to] !== word).map((to) => ({ from, to, exact: false })),
    ];
  });
}

function isTaken(path: Path, to: number): boolean {
  for (let at: Path | undefined = path; at?.match; at = at.before) if (at.match.to === to) return true;
  return false;
}

function extend(path: Path, match: Match): Path {
  const last = path.match;
  const joins = last !== undefined && match.from === last.from + 1 && match.to === last.to + 1;
  return {
    match,
    before: path,
    weight: path.weight + (match.exact ? 1 : 0.5),
    chunks: path.chunks + (joins ? 0 : 1),
    distance: path.distance + Math.abs(match.from - match.to),
  };
}

function compare(a: Path, b: Path): number {
  return b.weight - a.weight || a.chunks - b.chunks || a.distance - b.distance;
}
