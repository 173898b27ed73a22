/** The shapes as polygons, in units of 1/96 of the picture's side, y downwards, around their centre. */
import type { Kind } from "./vocabulary.js";

export interface Outline {
  /** x and y of each corner in turn. */
  readonly points: Float64Array;
  /** Least x and y. */
  readonly low: readonly [number, number];
  /** Greatest x and y. */
  readonly high: readonly [number, number];
  /** Radius of the largest circle around the centre that lies within. */
  readonly inner: number;
  /** Radius of the smallest circle around the centre that holds it. */
  readonly outer: number;
}

/** Half the width of a cross's arms, as a part of its half length. */
const CROSS_ARM = 0.4;
/** Corners of the polygon that stands for a circle: at most 0.05 units off the true one. */
const CIRCLE_CORNERS = 48;

/** Corners at radius 1. The factors make kinds of equal radius look equally large. */
const CORNERS: Readonly<Record<Kind, readonly (readonly [number, number])[]>> = {
  circle: onCircle(CIRCLE_CORNERS, () => 1),
  square: onCircle(4, () => 0.88 * Math.SQRT2, Math.PI / 4),
  triangle: onCircle(3, () => 1.1),
  star: onCircle(10, (i) => (i % 2 === 0 ? 1.05 : 0.5)),
  cross: crossCorners(CROSS_ARM),
  diamond: onCircle(4, (i) => (i % 2 === 0 ? 1 : 0.78)),
};

/** Turns by which a kind may be tilted either way and stay what it is, in radians. */
export const LARGEST_TILT: Readonly<Record<Kind, number>> = {
  circle: 0,
  square: 0.14,
  triangle: 0.14,
  star: 0.2,
  cross: 0.17,
  diamond: 0.1,
};

export function outlineOf(kind: Kind, radius: number, tilt: number): Outline {
  const corners = CORNERS[kind];
  const cos = Math.cos(tilt) * radius;
  const sin = Math.sin(tilt) * radius;
  const points = new Float64Array(corners.length * 2);
  const low: [number, number] = [Infinity, Infinity];
  const high: [number, number] = [-Infinity, -Infinity];
  corners.forEach(([x, y], i) => {
    const turned = [x * cos - y * sin, x * sin + y * cos] as const;
    points.set(turned, 2 * i);
    for (const axis of [0, 1] as const) {
      low[axis] = Math.min(low[axis], turned[axis]);
      high[axis] = Math.max(high[axis], turned[axis]);
    }
  });
  return { points, low, high, inner: innerRadius(points), outer: outerRadius(points) };
}

/** How far right of `left`'s centre the centre of `right`, `down` units lower, stands when the two touch. */
export function touchingDistance(left: Outline, right: Outline, down: number): number {
  // Along each row the distance is a sum of piecewise linear functions: its greatest value is at a corner's row.
  const rows: number[] = [];
  for (let i = 1; i < left.points.length; i += 2) rows.push(left.points[i]!);
  for (let i = 1; i < right.points.length; i += 2) rows.push(right.points[i]! + down);
  const distances = rows.map((row) => rowEnds(left.points, row)[1] - rowEnds(right.points, row - down)[0]);
  return Math.max(...distances);
}

/** Leftmost and rightmost x of a polygon in a row; an empty row gives [Infinity, -Infinity]. */
function rowEnds(points: Float64Array, row: number): [left: number, right: number] {
  let left = Infinity;
  let right = -Infinity;
  for (let i = 0; i < points.length; i += 2) {
    const next = (i + 2) % points.length;
    const [x0, y0, x1, y1] = [points[i]!, points[i + 1]!, points[next]!, points[next + 1]!];
    if (row < Math.min(y0, y1) || row > Math.max(y0, y1)) continue;
    const ends = y0 === y1 ? [x0, x1] : [x0 + ((row - y0) / (y1 - y0)) * (x1 - x0)];
    left = Math.min(left, ...ends);
    right = Math.max(right, ...ends);
  }
  return [left, right];
}

/** Corners around the centre, the first one up. */
function onCircle(count: number, radius: (corner: number) => number, start = 0): [number, number][] {
  return Array.from({ length: count }, (_, i) => {
    const angle = start + (2 * Math.PI * i) / count;
    return [radius(i) * Math.sin(angle), -radius(i) * Math.cos(angle)];
  });
}

function crossCorners(a: number): [number, number][] {
  const arm = [
    [-a, -1],
    [a, -1],
    [a, -a],
  ] as const;
  const turns = [
    ([x, y]: readonly [number, number]): [number, number] => [x, y],
    ([x, y]: readonly [number, number]): [number, number] => [-y, x],
    ([x, y]: readonly [number, number]): [number, number] => [-x, -y],
    ([x, y]: readonly [number, number]): [number, number] => [y, -x],
  ];
  return turns.flatMap((turn) => arm.map(turn));
}

function outerRadius(points: Float64Array): number {
  let radius = 0;
  for (let i = 0; i < points.length; i += 2)
    radius = Math.max(radius, Math.hypot(points[i]!, points[i + 1]!));
  return radius;
}

/** Distance from the centre to the nearest side. */
function innerRadius(points: Float64Array): number {
  let radius = Infinity;
  for (let i = 0; i < points.length; i += 2) {
    const next = (i + 2) % points.length;
    const [x, y] = [points[i]!, points[i + 1]!];
    const [sideX, sideY] = [points[next]! - x, points[next + 1]! - y];
    const along = -(x * sideX + y * sideY) / (sideX * sideX + sideY * sideY);
    const at = Math.min(1, Math.max(0, along));
    radius = Math.min(radius, Math.hypot(x + at * sideX, y + at * sideY));
  }
  return radius;
}
