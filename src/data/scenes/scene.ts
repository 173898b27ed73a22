/**
 * Generated pictures of one to three shapes, as values. What a caption says can be read off the picture by rule:
 * the first object named is the smaller one, of two equally large ones the left or upper one, and the inner one of
 * two that lie in each other.
 */
import { LingolensError } from "../../errors.js";
import { type Background, chooseBackground } from "./background.js";
import { layOut, SIDE } from "./layout.js";
import { LARGEST_TILT, outlineOf } from "./outline.js";
import { type Random, randomStream } from "./random.js";
import { type Combination, isHeldOut, SEEN_THINGS, SPLITS, type Split, UNSEEN_PAIRS } from "./splits.js";
import {
  COLOUR_RGB,
  RELATIONS,
  type Relation,
  type Rgb,
  SIZES,
  type Side,
  type Size,
  type Thing,
} from "./vocabulary.js";

export interface SceneObject extends Thing {
  readonly size: Size;
  /** In units of 1/96 of the picture's side. */
  readonly centre: readonly [x: number, y: number];
  /** Half its extent, in the same units. */
  readonly radius: number;
  /** Clockwise turn in radians. */
  readonly tilt: number;
  /** Its colour in this picture. */
  readonly rgb: Rgb;
  /** Left, top, width and height in pixels: the least box of whole pixels that holds it. */
  readonly box: readonly [x: number, y: number, width: number, height: number];
}

export interface Scene {
  /** Width and height of the picture in pixels. */
  readonly size: number;
  /** In the caption's order. */
  readonly objects: readonly SceneObject[];
  /** How the first object stands to the second; null for one object. */
  readonly relation: Relation | null;
  /** Where the third object stands, seen from the other two; null without it. */
  readonly third: Side | null;
  readonly background: Background;
  readonly noise: {
    /** Standard deviation, in 8-bit steps. */
    readonly deviation: number;
    /** 32 bits from which the noise of every pixel follows. */
    readonly seed: number;
  };
}

export interface SceneOptions {
  /** Which combinations may occur. */
  readonly split: Split;
  /** Whole number; another seed gives other scenes. */
  readonly seed: number;
  /** Number of the scene, from 0. */
  readonly index: number;
  /** Default: 1, 2 or 3, each as often; in `test` 2 or 3, as one object makes no combination. */
  readonly objects?: 1 | 2 | 3;
  /** Width and height in pixels. Default 96. */
  readonly size?: number;
}

/** Radii, in units of 1/96 of the picture's side: each size is at least 1.4 times the one below. */
export const RADII: Readonly<Record<Size, readonly [low: number, high: number]>> = {
  small: [6.6, 7.8],
  medium: [11, 12.4],
  large: [17.5, 19.5],
};
/** Radii of a large object that holds another. */
const CONTAINER_RADII = [21.5, 23.5] as const;
/** Largest change of a colour's channels. */
const COLOUR_JITTER = 10;

/**
 * The scene of a split, seed and number: always the same, made without those before it.
 * @throws {LingolensError} `option-unsupported` for a value out of range.
 */
export function sceneAt(options: SceneOptions): Scene {
  const { split, seed, index, size = SIDE } = options;
  checkOptions(options);
  const random = randomStream(`${split} ${seed} ${index}`);
  const count = options.objects ?? random.pick(split === "test" ? [2, 3] : [1, 2, 3]);

  const relation = count > 1 ? random.pick(RELATIONS) : null;
  const third = count > 2 ? random.pick(sidesOf(relation!)) : null;
  const things = chooseThings(split, count, statementsOf({ relation, third }), random);
  const sizes = chooseSizes(count, relation, random);

  const shapes = things.map((thing, i) => {
    const radii = relation === "inside" && i === 1 ? CONTAINER_RADII : RADII[sizes[i]!];
    const largestTilt = LARGEST_TILT[thing.kind];
    const radius = random.between(...radii);
    const tilt = random.between(-largestTilt, largestTilt);
    return { ...thing, size: sizes[i]!, radius, tilt, rgb: jitter(COLOUR_RGB[thing.colour], random) };
  });
  const outlines = shapes.map(({ kind, radius, tilt }) => outlineOf(kind, radius, tilt));
  const arrangement = {
    ...(relation && { relation }),
    ...(third && { third }),
    subjectLeft: sizes[0] === sizes[1] || random.pick([true, false]),
  };
  const centres = layOut(outlines, arrangement, random);

  return {
    size,
    objects: shapes.map((shape, i) => {
      const centre = centres[i]!;
      const edge = (end: "low" | "high", axis: 0 | 1) =>
        ((centre[axis] + outlines[i]![end][axis]) * size) / SIDE;
      const [x, y] = [Math.floor(edge("low", 0)), Math.floor(edge("low", 1))];
      const box = [x, y, Math.ceil(edge("high", 0)) - x, Math.ceil(edge("high", 1)) - y] as const;
      return { ...shape, centre, box };
    }),
    relation,
    third,
    background: chooseBackground(
      shapes.map(({ rgb }) => rgb),
      random,
    ),
    noise: { deviation: random.between(1.5, 9), seed: random.bits() },
  };
}

/** A relation between two objects, given by their places in the caption's order. */
export interface Statement {
  readonly subject: number;
  readonly relation: Relation;
  readonly object: number;
}

/** Every relation that the caption states; a third object stands to both others as to the two together. */
export function statementsOf({ relation, third }: Pick<Scene, "relation" | "third">): Statement[] {
  const statements: Statement[] = [];
  if (relation) statements.push({ subject: 0, relation, object: 1 });
  if (third) statements.push(...[0, 1].map((object) => ({ subject: 2, relation: third, object })));
  return statements;
}

/** The same, by what the objects are. */
export function combinationsOf(things: readonly Thing[], statements: readonly Statement[]): Combination[] {
  return statements.map(({ subject, relation, object }) => {
    return { subject: things[subject]!, relation, object: things[object]! };
  });
}

/** A third object stands across the pair's axis, so that it never makes a row of three. */
function sidesOf(relation: Relation): readonly Side[] {
  switch (relation) {
    case "left-of":
    case "right-of":
    case "touching":
      return ["above", "below"];
    case "above":
    case "below":
      return ["left-of", "right-of"];
    case "inside":
      return ["left-of", "right-of", "above", "below"];
  }
}

/** Kinds in colours, no colour twice, as the split asks. Drawn again until they fit it: 2 to 5 times on average. */
function chooseThings(
  split: Split,
  count: number,
  statements: readonly Statement[],
  random: Random,
): Thing[] {
  for (;;) {
    const things = Array.from({ length: count }, () => random.pick(SEEN_THINGS));
    if (split === "unseen-pairs") {
      things[random.pick([...things.keys()])] = random.pick(UNSEEN_PAIRS);
    }
    if (new Set(things.map(({ colour }) => colour)).size < count) continue;
    const heldOut = combinationsOf(things, statements).some(isHeldOut);
    if (split === "train" && heldOut) continue;
    if (split === "test" && count > 1 && !heldOut) continue;
    return things;
  }
}

/** Sizes by which the relation's rule makes the first object the caption's first. */
function chooseSizes(count: number, relation: Relation | null, random: Random): Size[] {
  const lasting = random.pick(SIZES);
  if (!relation) return [lasting];
  // Beside a pair that takes half the picture there is no room for another large object.
  const third = relation === "inside" ? random.pick(["small", "medium"] as const) : lasting;
  return [...random.pick(PAIR_SIZES[relation]), third].slice(0, count);
}

const ASCENDING: readonly (readonly [Size, Size])[] = [
  ["small", "medium"],
  ["small", "large"],
  ["medium", "large"],
];
const EQUAL_OR_ASCENDING = [...ASCENDING, ...SIZES.map((size) => [size, size] as const)];

const PAIR_SIZES: Readonly<Record<Relation, readonly (readonly [Size, Size])[]>> = {
  "left-of": EQUAL_OR_ASCENDING,
  "right-of": ASCENDING,
  above: EQUAL_OR_ASCENDING,
  below: ASCENDING,
  inside: [["small", "large"]],
  touching: EQUAL_OR_ASCENDING,
};

function jitter([red, green, blue]: Rgb, random: Random): Rgb {
  const shift = (channel: number) => {
    const shifted = Math.round(channel + random.between(-COLOUR_JITTER, COLOUR_JITTER));
    return Math.min(255, Math.max(0, shifted));
  };
  return [shift(red), shift(green), shift(blue)];
}

function checkOptions({ split, seed, index, objects = 1, size = SIDE }: SceneOptions): void {
  const expect = (name: string, holds: boolean, expected: string, got: unknown) => {
    if (holds) return;
    throw new LingolensError(
      "option-unsupported",
      `A scene's ${name} must be ${expected}; got ${String(got)}.`,
    );
  };
  expect("split", SPLITS.includes(split), `one of ${SPLITS.join(", ")}`, split);
  expect("seed", Number.isSafeInteger(seed), "a whole number", seed);
  expect("index", Number.isSafeInteger(index) && index >= 0, "a whole number from 0", index);
  expect("number of objects", [1, 2, 3].includes(objects), "1, 2 or 3", objects);
  expect("size", Number.isInteger(size) && size >= 32 && size <= 1024, "32 to 1024 pixels", size);
}
