/**
 * What each split may show. Training never shows the held-out combinations, of which every test scene that states a
 * relation has one; nobody but `unseen-pairs` shows the unseen pairs.
 */
import { hashText } from "./random.js";
import { COLOURS, KINDS, type Relation, type Thing } from "./vocabulary.js";

export const SPLITS = ["train", "test", "unseen-pairs"] as const;
export type Split = (typeof SPLITS)[number];

/** A relation that a caption states: kind, colour, relation, kind, colour. */
export interface Combination {
  readonly subject: Thing;
  readonly relation: Relation;
  readonly object: Thing;
}

/** Kinds in colours that only the split `unseen-pairs` shows. Their kinds and colours alone are seen in training. */
export const UNSEEN_PAIRS: readonly Thing[] = [
  { kind: "triangle", colour: "purple" },
  { kind: "star", colour: "blue" },
  { kind: "cross", colour: "orange" },
];

const ALL_THINGS = KINDS.flatMap((kind) => COLOURS.map((colour): Thing => ({ kind, colour })));

/** Every kind in every colour, without the unseen pairs. */
export const SEEN_THINGS: readonly Thing[] = ALL_THINGS.filter((thing) => !isUnseenPair(thing));

export function isUnseenPair({ kind, colour }: Thing): boolean {
  return UNSEEN_PAIRS.some((pair) => pair.kind === kind && pair.colour === colour);
}

/** Part of all combinations that training never shows. */
const HELD_OUT_FRACTION = 0.2;

/**
 * Whether training never shows the combination: the same for every seed. "A left of B" and "B right of A" are held
 * out together, as one picture shows both.
 */
export function isHeldOut(combination: Combination): boolean {
  return hashText(canonicalName(combination)) < HELD_OUT_FRACTION * 2 ** 32;
}

function canonicalName({ subject, relation, object }: Combination): string {
  const a = `${subject.colour} ${subject.kind}`;
  const b = `${object.colour} ${object.kind}`;
  switch (relation) {
    case "left-of":
    case "above":
    case "inside":
      return `${a} ${relation} ${b}`;
    case "right-of":
      return `${b} left-of ${a}`;
    case "below":
      return `${b} above ${a}`;
    case "touching":
      return a < b ? `${a} touching ${b}` : `${b} touching ${a}`;
  }
}
