import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { outlineOf } from "./outline.js";
import { renderScene } from "./render.js";
import { type Scene, type SceneObject, sceneAt } from "./scene.js";
import { SPLITS } from "./splits.js";

const scenes = SPLITS.flatMap((split) =>
  Array.from({ length: 100 }, (_, index) => sceneAt({ split, seed: 11, index, size: index % 2 ? 96 : 131 })),
);

function without(scene: Scene, change: Partial<Scene>): Scene {
  return { ...scene, noise: { ...scene.noise, deviation: 0 }, ...change };
}

/** How much of each pixel an object changes, 0 to 1. */
function coverageOf(scene: Scene, object: SceneObject): Float64Array {
  const [ground, picture] = [[], [object]].map((objects) => renderScene(without(scene, { objects })).data);
  return Float64Array.from({ length: scene.size ** 2 }, (_, pixel) => {
    const channels = [0, 1, 2].map((channel) => {
      const from = ground![3 * pixel + channel]!;
      return [picture![3 * pixel + channel]! - from, object.rgb[channel]! - from] as const;
    });
    const [change, whole] = channels.reduce((a, b) => (Math.abs(b[1]) > Math.abs(a[1]) ? b : a));
    return change / whole;
  });
}

describe("renderScene", () => {
  it("draws the same bytes for the same scene", () => {
    const hash = createHash("sha256");
    for (const scene of scenes.slice(0, 30)) hash.update(renderScene(scene).data);
    expect(hash.digest("hex").slice(0, 16)).toBe("c935888bdf464bad");
  });

  it("gives RGB bytes of the scene's size", () => {
    const { width, height, data } = renderScene(scenes[0]!);
    expect([width, height, data.length]).toEqual([131, 131, 131 * 131 * 3]);
    expect(data).toBeInstanceOf(Uint8Array);
  });

  it("covers as much as the outline's area, within the object's box and up to it", () => {
    for (const scene of scenes) {
      for (const object of scene.objects) {
        const coverage = coverageOf(scene, object);
        const sum = coverage.reduce((total, part) => total + part, 0);
        const area = areaOf(object) * (scene.size / 96) ** 2;
        expect(Math.abs(sum - area) / area, object.kind).toBeLessThan(0.02);
        expect(Math.max(...coverage)).toBeLessThanOrEqual(1);

        const drawn = [...coverage.keys()].filter((pixel) => coverage[pixel]! > 0.04);
        const xs = drawn.map((pixel) => pixel % scene.size);
        const ys = drawn.map((pixel) => Math.floor(pixel / scene.size));
        const [x, y, width, height] = object.box;
        const edges = [Math.min(...xs) - x, Math.min(...ys) - y];
        edges.push(x + width - 1 - Math.max(...xs), y + height - 1 - Math.max(...ys));
        for (const edge of edges) {
          expect(edge).toBeGreaterThanOrEqual(0);
          // A star's tip and a triangle's corner cover little of their last pixels.
          expect(edge).toBeLessThanOrEqual(2);
        }
      }
    }
  });

  it("paints the inner of two objects over the outer one", () => {
    const scene = scenes.find(({ relation }) => relation === "inside")!;
    const { data } = renderScene(without(scene, {}));
    const [inner] = scene.objects;
    const [x, y] = inner!.centre.map((value) => Math.floor((value * scene.size) / 96));
    const at = 3 * (y! * scene.size + x!);
    expect([...data.subarray(at, at + 3)]).toEqual(inner!.rgb);
  });

  it("adds noise of the scene's deviation and no other change", () => {
    const scene = { ...scenes[0]!, objects: [], background: greyGround() };
    const { data } = renderScene({ ...scene, noise: { deviation: 8, seed: 5 } });
    const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
    const variance = data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length;
    expect(mean).toBeCloseTo(128, 0);
    expect(Math.sqrt(variance)).toBeCloseTo(8, 0);
    // Neighbours and channels vary apart from each other.
    for (const lag of [1, 2, 3, 3 * scene.size]) {
      let product = 0;
      for (let i = lag; i < data.length; i++) product += (data[i]! - mean) * (data[i - lag]! - mean);
      expect(Math.abs(product / data.length / variance), `lag ${lag}`).toBeLessThan(0.03);
    }
  });
});

function greyGround(): Scene["background"] {
  return {
    pattern: "plain",
    colours: [
      [128, 128, 128],
      [128, 128, 128],
    ],
    angle: 0,
    period: 8,
  };
}

/** By the shoelace formula. */
function areaOf({ kind, radius, tilt }: SceneObject): number {
  const { points } = outlineOf(kind, radius, tilt);
  let twice = 0;
  for (let i = 0; i < points.length; i += 2) {
    const next = (i + 2) % points.length;
    twice += points[i]! * points[next + 1]! - points[next]! * points[i + 1]!;
  }
  return Math.abs(twice) / 2;
}
