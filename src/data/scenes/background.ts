/** Backgrounds: muted, faintly patterned, and never near the colour of an object that stands on them. */
import { SIDE } from "./layout.js";
import type { Random } from "./random.js";
import type { Rgb } from "./vocabulary.js";

export const PATTERNS = ["plain", "gradient", "stripes", "checks"] as const;

/** Two colours that are near each other, and how they alternate. */
export interface Background {
  readonly pattern: (typeof PATTERNS)[number];
  readonly colours: readonly [Rgb, Rgb];
  /** Direction of a gradient or across stripes, in radians. */
  readonly angle: number;
  /** Width of a stripe or check, in units of 1/96 of the picture's side. */
  readonly period: number;
}

/** Euclidean distance in RGB that an object's colour keeps from its background's. */
export const LEAST_CONTRAST = 90;
/** Largest difference between the two background colours, per channel. */
const LARGEST_PATTERN = 14;

export function chooseBackground(objectColours: readonly Rgb[], random: Random): Background {
  let best: readonly [Rgb, Rgb] | undefined;
  let bestContrast = -1;
  for (let attempt = 0; attempt < 64 && bestContrast < LEAST_CONTRAST; attempt++) {
    const colours = twoTones(random);
    const contrast = Math.min(...colours.flatMap((tone) => objectColours.map((rgb) => distance(tone, rgb))));
    if (contrast > bestContrast) [best, bestContrast] = [colours, contrast];
  }
  return {
    pattern: random.pick(PATTERNS),
    colours: best!,
    angle: random.between(0, 2 * Math.PI),
    period: random.between(6, 16),
  };
}

function twoTones(random: Random): [Rgb, Rgb] {
  const lightness = random.between(40, 232);
  const base = [0, 0, 0].map(() => lightness + random.between(-18, 18));
  const shift = random.between(-LARGEST_PATTERN, LARGEST_PATTERN);
  return [toRgb(base), toRgb(base.map((channel) => channel + shift))];
}

function toRgb(channels: readonly number[]): Rgb {
  const [red, green, blue] = channels.map((channel) => Math.round(channel));
  return [red!, green!, blue!];
}

export function distance(a: Rgb, b: Rgb): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

/** Fills `canvas`, [size, size, RGB], with the background. */
export function paintBackground(canvas: Float32Array, size: number, background: Background): void {
  const [from, to] = background.colours;
  const share = shareOfSecond(background);
  const unit = SIDE / size;
  for (let y = 0, at = 0; y < size; y++) {
    for (let x = 0; x < size; x++, at += 3) {
      const part = share((x + 0.5) * unit, (y + 0.5) * unit);
      canvas[at] = from[0] + part * (to[0] - from[0]);
      canvas[at + 1] = from[1] + part * (to[1] - from[1]);
      canvas[at + 2] = from[2] + part * (to[2] - from[2]);
    }
  }
}

/** How much of the second colour a place has, 0 to 1. */
function shareOfSecond({ pattern, angle, period }: Background): (x: number, y: number) => number {
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  switch (pattern) {
    case "plain":
      return () => 0;
    case "gradient":
      return (x, y) => 0.5 + ((x / SIDE - 0.5) * cos + (y / SIDE - 0.5) * sin) / Math.SQRT2;
    case "stripes":
      return (x, y) => Math.floor((x * cos + y * sin) / period) & 1;
    case "checks":
      return (x, y) => (Math.floor(x / period) + Math.floor(y / period)) & 1;
  }
}
