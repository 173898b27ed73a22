/**
 * Where objects stand, in units of 1/96 of the picture's side. Margins make every relation plain to see: one axis
 * decides and the other stays small, what does not touch is well apart.
 */
import { type Outline, touchingDistance } from "./outline.js";
import type { Random } from "./random.js";
import type { Relation, Side } from "./vocabulary.js";

export type Point = readonly [x: number, y: number];
type Axis = 0 | 1;

/** The picture's side, and the edge that stays free of objects. */
export const SIDE = 96;
const EDGE = 2;
const ROOM = SIDE - 2 * EDGE;

/** Least space between two objects that do not touch. */
export const LEAST_GAP = 5;
/** Offset across a relation's axis, at most, as a part of that along it. */
export const LARGEST_SLANT = 0.3;
/** How far touching objects go into each other, so that the contact shows. */
export const CONTACT = 0.8;
/** Rim of the outer object that stays visible around an inner one. */
const RIM = 1.2;

/** Slant and space in a pair that has a third object beside it: the pair must look like one. */
const CLOSE = { slant: 0.08, gap: 12 };
const APART = { slant: LARGEST_SLANT, gap: 36 };

export interface Arrangement {
  readonly relation?: Relation;
  /** Of touching objects, whether the first of the caption stands on the left. */
  readonly subjectLeft: boolean;
  /** Where the third object stands, seen from the first two. */
  readonly third?: Side;
}

/** Centres of the objects, given in the caption's order. */
export function layOut(outlines: readonly Outline[], arrangement: Arrangement, random: Random): Point[] {
  const [first, second, third] = outlines;
  let centres: Point[] = [[0, 0]];
  if (second && arrangement.relation) {
    centres = placePair(first!, second, arrangement, third ? CLOSE : APART, random);
  }
  if (third && arrangement.third) {
    centres.push(placeThird(outlines, centres, third, arrangement.third, random));
  }
  return moveIntoPicture(outlines, centres, random);
}

function placePair(
  subject: Outline,
  object: Outline,
  { relation, subjectLeft }: Arrangement,
  limits: typeof APART,
  random: Random,
): Point[] {
  switch (relation) {
    case "left-of":
      return [[0, 0], after(subject, object, 0, limits, random)];
    case "right-of":
      return [after(object, subject, 0, limits, random), [0, 0]];
    case "above":
      return [[0, 0], after(subject, object, 1, limits, random)];
    case "below":
      return [after(object, subject, 1, limits, random), [0, 0]];
    case "touching":
      return subjectLeft
        ? [[0, 0], againstRight(subject, object, limits, random)]
        : [againstRight(object, subject, limits, random), [0, 0]];
    default: {
      const free = object.inner - subject.outer - RIM;
      return [pointInDisc(Math.max(0, free), random), [0, 0]];
    }
  }
}

/** The centre of `next`, to the right of (axis 0) or below (axis 1) `outline`, which stands at the origin. */
function after(outline: Outline, next: Outline, axis: Axis, limits: typeof APART, random: Random): Point {
  const contact = outline.high[axis] - next.low[axis];
  const free = ROOM - (contact - outline.low[axis] + next.high[axis]);
  const along = contact + random.between(LEAST_GAP, Math.min(limits.gap, free));
  const across = random.between(-1, 1) * limits.slant * along;
  return axis === 0 ? [along, across] : [across, along];
}

/** The centre of `right` where it touches `left`, which stands at the origin. */
function againstRight(left: Outline, right: Outline, limits: typeof APART, random: Random): Point {
  const down = random.between(-1, 1) * limits.slant * Math.min(left.outer, right.outer);
  return [touchingDistance(left, right, down) - CONTACT, down];
}

function pointInDisc(radius: number, random: Random): Point {
  const angle = random.between(0, 2 * Math.PI);
  const distance = radius * Math.sqrt(random.between(0, 1));
  return [distance * Math.cos(angle), distance * Math.sin(angle)];
}

/** The third object stands beside the middle of the pair, so that it makes no row with either of the two. */
function placeThird(
  outlines: readonly Outline[],
  [a, b]: readonly Point[],
  third: Outline,
  side: Side,
  random: Random,
): Point {
  const pair = bounds(outlines, [a!, b!]);
  const axis: Axis = side === "above" || side === "below" ? 1 : 0;
  const across: Axis = axis === 1 ? 0 : 1;
  const free = ROOM - (pair.high[axis] - pair.low[axis]) - (third.high[axis] - third.low[axis]);
  const gap = random.between(LEAST_GAP, Math.min(CLOSE.gap, free));
  const along =
    side === "left-of" || side === "above"
      ? pair.low[axis] - gap - third.high[axis]
      : pair.high[axis] + gap - third.low[axis];
  const middle =
    (a![across] + b![across]) / 2 + random.between(-1, 1) * 0.06 * Math.abs(a![across] - b![across]);
  return axis === 0 ? [along, middle] : [middle, along];
}

function moveIntoPicture(outlines: readonly Outline[], centres: readonly Point[], random: Random): Point[] {
  const { low, high } = bounds(outlines, centres);
  const x = random.between(EDGE, SIDE - EDGE - (high[0] - low[0])) - low[0];
  const y = random.between(EDGE, SIDE - EDGE - (high[1] - low[1])) - low[1];
  return centres.map((centre) => [centre[0] + x, centre[1] + y]);
}

function bounds(outlines: readonly Outline[], centres: readonly Point[]): { low: Point; high: Point } {
  const edge = (axis: Axis, end: "low" | "high") =>
    centres.map((centre, i) => centre[axis] + outlines[i]![end][axis]);
  return {
    low: [Math.min(...edge(0, "low")), Math.min(...edge(1, "low"))],
    high: [Math.max(...edge(0, "high")), Math.max(...edge(1, "high"))],
  };
}
