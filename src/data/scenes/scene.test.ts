import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { distance, LEAST_CONTRAST } from "./background.js";
import { sceneCaption } from "./caption.js";
import { outlineOf } from "./outline.js";
import {
  combinationsOf,
  RADII,
  type Scene,
  type SceneObject,
  type SceneOptions,
  sceneAt,
  statementsOf,
} from "./scene.js";
import { type Combination, isHeldOut, isUnseenPair, SEEN_THINGS, SPLITS, UNSEEN_PAIRS } from "./splits.js";
import { COLOUR_RGB, COLOURS, KINDS, RELATIONS, type Relation, type Rgb, SIZES } from "./vocabulary.js";

const MANY = 6000;

function scenes(options: Omit<SceneOptions, "index" | "seed">, count = MANY, seed = 7): Scene[] {
  return Array.from({ length: count }, (_, index) => sceneAt({ ...options, seed, index }));
}

function statedBy(scene: Scene): Combination[] {
  return combinationsOf(scene.objects, statementsOf(scene));
}

describe("sceneAt", () => {
  it("is a function of split, seed and index", () => {
    const hash = createHash("sha256");
    for (const split of SPLITS) {
      for (const scene of scenes({ split }, 50, 3)) hash.update(`${sceneCaption(scene, "en").text}\n`);
    }
    expect(hash.digest("hex").slice(0, 16)).toBe("9cd837499173c5c6");
    const texts = SPLITS.flatMap((split) =>
      [1, 2].map((seed) => JSON.stringify(sceneAt({ split, seed, index: 5 }))),
    );
    expect(new Set(texts).size).toBe(texts.length);
    expect(sceneAt({ split: "train", seed: 1, index: 9 })).toEqual(
      sceneAt({ split: "train", seed: 1, index: 9 }),
    );
  });

  it("shows one, two and three objects, every relation and every size about equally often", () => {
    const all = scenes({ split: "train" });
    for (const objects of [1, 2, 3]) {
      const part = all.filter((scene) => scene.objects.length === objects).length / MANY;
      expect(part, `${objects} objects`).toBeCloseTo(1 / 3, 1);
    }
    const related = all.filter(({ relation }) => relation);
    for (const relation of RELATIONS) {
      const part = related.filter((scene) => scene.relation === relation).length / related.length;
      expect(part, relation).toBeCloseTo(1 / RELATIONS.length, 1);
    }
    const alone = all.filter(({ relation }) => !relation);
    for (const size of SIZES) {
      const part = alone.filter((scene) => scene.objects[0]!.size === size).length / alone.length;
      expect(part, size).toBeCloseTo(1 / SIZES.length, 1);
    }
    for (const objects of [1, 2, 3] as const) {
      expect(scenes({ split: "test", objects }, 20).map((scene) => scene.objects.length)).toEqual(
        Array(20).fill(objects),
      );
    }
  });

  it("scales a scene to the size of the picture", () => {
    const [small, large] = [96, 192].map((size) => sceneAt({ split: "train", seed: 1, index: 1, size }));
    expect(large!.objects.map(({ centre }) => centre)).toEqual(small!.objects.map(({ centre }) => centre));
    large!.objects.forEach(({ box }, i) => {
      box.forEach((value, j) => {
        expect(Math.abs(value / 2 - small!.objects[i]!.box[j]!)).toBeLessThanOrEqual(1);
      });
    });
  });

  it.each([{ split: "dev" }, { seed: 0.5 }, { index: -1 }, { objects: 4 }, { size: 8 }, { size: 5000 }])(
    "refuses %o",
    (wrong) => {
      const options = { split: "train", seed: 0, index: 0, ...wrong } as SceneOptions;
      expect(() => sceneAt(options)).toThrow(expect.objectContaining({ code: "option-unsupported" }));
    },
  );
});

describe("splits", () => {
  it("hold out 15 to 25 % of all combinations, in every relation", () => {
    for (const relation of RELATIONS) {
      const combinations = SEEN_THINGS.flatMap((subject) =>
        SEEN_THINGS.filter(({ colour }) => colour !== subject.colour).map((object) => ({
          subject,
          relation,
          object,
        })),
      );
      const part = combinations.filter(isHeldOut).length / combinations.length;
      expect(part, relation).toBeGreaterThan(0.15);
      expect(part, relation).toBeLessThan(0.25);
    }
  });

  it("hold out a combination and its reverse together", () => {
    const reverses: Partial<Record<Relation, Relation>> = {
      "left-of": "right-of",
      above: "below",
      touching: "touching",
    };
    for (const [relation, reverse] of Object.entries(reverses) as [Relation, Relation][]) {
      for (const subject of SEEN_THINGS) {
        for (const object of SEEN_THINGS) {
          expect(isHeldOut({ subject, relation, object })).toBe(
            isHeldOut({ subject: object, relation: reverse, object: subject }),
          );
        }
      }
    }
  });

  it("train shows no held-out combination and no unseen pair, but every other kind in every colour", () => {
    for (const objects of [1, 2, 3] as const) {
      const all = scenes({ split: "train", objects });
      expect(all.flatMap(statedBy).filter(isHeldOut)).toEqual([]);
      expect(all.flatMap((scene) => scene.objects).filter(isUnseenPair)).toEqual([]);
      const shown = new Set(
        all.flatMap((scene) => scene.objects.map(({ kind, colour }) => `${kind} ${colour}`)),
      );
      expect(shown.size).toBe(KINDS.length * COLOURS.length - UNSEEN_PAIRS.length);
    }
  });

  it("every test scene with a relation has a held-out combination, and none an unseen pair", () => {
    for (const scene of scenes({ split: "test" })) {
      expect(statedBy(scene).some(isHeldOut)).toBe(true);
      expect(scene.objects.some(isUnseenPair)).toBe(false);
    }
  });

  it("every scene of unseen-pairs has one, and every pair occurs", () => {
    const all = scenes({ split: "unseen-pairs" });
    expect(all.every((scene) => scene.objects.some(isUnseenPair))).toBe(true);
    const shown = new Set(all.flatMap(({ objects }) => objects.filter(isUnseenPair).map(({ kind }) => kind)));
    expect(shown.size).toBe(UNSEEN_PAIRS.length);
    expect(new Set(UNSEEN_PAIRS.map(({ kind }) => kind)).size).toBe(UNSEEN_PAIRS.length);
    expect(new Set(UNSEEN_PAIRS.map(({ colour }) => colour)).size).toBe(UNSEEN_PAIRS.length);
  });
});

describe.each(SPLITS)("what a caption of %s says", (split) => {
  it("can be read off the picture, with margins", () => {
    for (const scene of scenes({ split })) {
      const { relation, third, order } = readOff(scene);
      const said = `${scene.objects.length} ${scene.relation} ${scene.third}`;
      expect(`${scene.objects.length} ${relation} ${third}`, JSON.stringify(scene)).toBe(said);
      expect(order, JSON.stringify(scene)).toEqual([...scene.objects.keys()]);
    }
  });

  it("names sizes and colours that are plain to see", () => {
    for (const { objects, background } of scenes({ split })) {
      expect(new Set(objects.map(({ colour }) => colour)).size).toBe(objects.length);
      for (const { radius, size, rgb, colour } of objects) {
        expect(radius < 9 ? "small" : radius < 15 ? "medium" : "large").toBe(size);
        const [nearest, next] = COLOURS.toSorted((a, b) => contrast(a, rgb) - contrast(b, rgb));
        expect(nearest).toBe(colour);
        expect(contrast(next!, rgb)).toBeGreaterThan(3 * contrast(nearest!, rgb));
        for (const tone of background.colours)
          expect(distance(tone, rgb)).toBeGreaterThanOrEqual(LEAST_CONTRAST);
      }
    }
  });
});

function contrast(colour: keyof typeof COLOUR_RGB, rgb: Rgb): number {
  return distance(COLOUR_RGB[colour], rgb);
}

/** Reads relation, side and order off the geometry, by rules apart from those that laid the scene out. */
function readOff({ objects, size }: Scene): {
  relation: Relation | null;
  third: Relation | null;
  order: number[];
} {
  const polygons = objects.map(polygonOf);
  const reach = polygons.flat(2);
  expect(Math.min(...reach)).toBeGreaterThan(1.9);
  expect(Math.max(...reach)).toBeLessThan(size - 1.9);
  if (objects.length === 1) return { relation: null, third: null, order: [0] };

  const pairs =
    objects.length === 2
      ? [[0, 1]]
      : [
          [0, 1],
          [0, 2],
          [1, 2],
        ];
  const relate = ([i, j]: number[]) => ({ i: i!, j: j!, ...relatePair(objects[i!]!, objects[j!]!) });
  const [closest, next] = pairs.map(relate).sort((a, b) => a.slant - b.slant);
  if (next) expect(next.slant, "another pair looks like one").toBeGreaterThan(2 * closest!.slant + 0.05);
  const { i, j, relation } = closest!;
  if (objects.length === 2) return { relation, third: null, order: closest!.reversed ? [j, i] : [i, j] };

  const k = 3 - i - j;
  const third = sideOf(polygons[k]!, [...polygons[i]!, ...polygons[j]!]);
  return { relation, third, order: closest!.reversed ? [j, i, k] : [i, j, k] };
}

function relatePair(
  a: SceneObject,
  b: SceneObject,
): { relation: Relation; slant: number; reversed: boolean } {
  const [pa, pb] = [polygonOf(a), polygonOf(b)];
  if (pa.every((corner) => isWithin(corner, pb))) return { relation: "inside", slant: -1, reversed: false };
  if (pb.every((corner) => isWithin(corner, pa))) return { relation: "inside", slant: -1, reversed: true };

  const [dx, dy] = [b.centre[0] - a.centre[0], b.centre[1] - a.centre[1]];
  const horizontal = Math.abs(dx) > Math.abs(dy);
  const bFirst = horizontal ? dx < 0 : dy < 0;
  const equal = a.size === b.size;
  const reversed = equal ? bFirst : SIZES.indexOf(b.size) < SIZES.indexOf(a.size);

  const apart = distanceBetween(pa, pb);
  if (apart < 0.5) {
    expect(horizontal).toBe(true);
    return { relation: "touching", slant: -1, reversed };
  }
  expect(apart).toBeGreaterThan(4);
  const slant = horizontal ? Math.abs(dy / dx) : Math.abs(dx / dy);
  const subjectFirst = bFirst === reversed;
  const relation = horizontal ? (subjectFirst ? "left-of" : "right-of") : subjectFirst ? "above" : "below";
  return { relation, slant, reversed };
}

type Corner = readonly [number, number];

function polygonOf({ kind, radius, tilt, centre }: SceneObject): Corner[] {
  const { points } = outlineOf(kind, radius, tilt);
  return Array.from({ length: points.length / 2 }, (_, i) => {
    return [points[2 * i]! + centre[0], points[2 * i + 1]! + centre[1]];
  });
}

/** The only side of `others` on which all of `polygon` lies. */
function sideOf(polygon: Corner[], others: Corner[]): Relation | null {
  const range = (corners: Corner[], axis: 0 | 1) => {
    const values = corners.map((corner) => corner[axis]);
    return [Math.min(...values), Math.max(...values)] as const;
  };
  const [x, y, otherX, otherY] = [range(polygon, 0), range(polygon, 1), range(others, 0), range(others, 1)];
  const sides: Relation[] = [];
  if (otherX[0] - x[1] > 4) sides.push("left-of");
  if (x[0] - otherX[1] > 4) sides.push("right-of");
  if (otherY[0] - y[1] > 4) sides.push("above");
  if (y[0] - otherY[1] > 4) sides.push("below");
  return sides.length === 1 ? sides[0]! : null;
}

function isWithin([x, y]: Corner, polygon: Corner[]): boolean {
  let within = false;
  polygon.forEach(([x1, y1], i) => {
    const [x0, y0] = polygon.at(i - 1)!;
    if (y0 <= y !== y1 <= y && x < x0 + ((y - y0) / (y1 - y0)) * (x1 - x0)) within = !within;
  });
  return within;
}

/** 0 for polygons that overlap. */
function distanceBetween(a: Corner[], b: Corner[]): number {
  if (a.some((corner) => isWithin(corner, b)) || b.some((corner) => isWithin(corner, a))) return 0;
  return Math.min(...a.map((corner) => distanceTo(corner, b)), ...b.map((corner) => distanceTo(corner, a)));
}

function distanceTo([x, y]: Corner, polygon: Corner[]): number {
  return Math.min(
    ...polygon.map(([x1, y1], i) => {
      const [x0, y0] = polygon.at(i - 1)!;
      const [sideX, sideY] = [x1 - x0, y1 - y0];
      const at = ((x - x0) * sideX + (y - y0) * sideY) / (sideX ** 2 + sideY ** 2);
      const near = Math.min(1, Math.max(0, at));
      return Math.hypot(x - x0 - near * sideX, y - y0 - near * sideY);
    }),
  );
}

it("sizes are at least 1.4 times apart", () => {
  expect(RADII.medium[0] / RADII.small[1]).toBeGreaterThan(1.4);
  expect(RADII.large[0] / RADII.medium[1]).toBeGreaterThan(1.4);
});
