import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { renderScene } from "../data/scenes/render.js";
import { sceneAt } from "../data/scenes/scene.js";
import { OneDnnApi } from "../engine/onednn/onednn-api.js";
import type { Caption, Captioner, CaptionResult } from "./captioner.js";
import { loadCaptioner } from "./load-captioner.js";

function hasBf16(): boolean {
  try {
    return OneDnnApi.load() !== undefined;
  } catch {
    return false;
  }
}

const images = Array.from({ length: 6 }, (_, index) =>
  renderScene(sceneAt({ split: "test", seed: 5, index })),
);
const captionsOf = (results: readonly CaptionResult[]): Caption[] =>
  results.flatMap((result) => ("captions" in result ? result.captions : []));

describe.skipIf(!hasBf16())("a captioner in bf16", () => {
  let [exact, rounded]: Captioner[] = [];
  beforeAll(async () => {
    [exact, rounded] = [await loadCaptioner(), await loadCaptioner({ dtype: "bf16" })];
  });
  afterAll(() => Promise.all([exact!.close(), rounded!.close()]));

  it("says of drawn scenes what it says in float32, with nearly the same scores", async () => {
    const options = { lang: ["en", "fr"], batchSize: 3, attention: true, logProbs: true };
    const ours = captionsOf(await rounded!.caption(images, options));
    const theirs = captionsOf(await exact!.caption(images, options));
    expect(ours).toHaveLength(12);
    expect(ours.map(({ text }) => text)).toEqual(theirs.map(({ text }) => text));
    const numbers = ({ score, attention, logProbs }: Caption) => [score, ...attention!.flat(), ...logProbs!];
    ours.forEach((caption, i) => {
      const expected = numbers(theirs[i]!);
      numbers(caption).forEach((value, j) => {
        expect(Math.abs(value - expected[j]!)).toBeLessThan(0.1);
      });
    });
    expect(ours.map(({ score }) => score)).not.toEqual(theirs.map(({ score }) => score));
  });

  it("does not let a caption depend on its company", async () => {
    const together = captionsOf(await rounded!.caption(images, { batchSize: 6 }));
    for (const [i, image] of images.entries())
      expect(captionsOf(await rounded!.caption(image))[0]!.text).toBe(together[i]!.text);
  });

  it("scores given captions nearly as float32 does", async () => {
    const given = [{ lang: "en", caption: "a small red circle above a blue star" }];
    const [ours] = await rounded!.score(images[0]!, given);
    const [theirs] = await exact!.score(images[0]!, given);
    expect(Math.abs(ours!.nll / theirs!.nll - 1)).toBeLessThan(0.02);
  });
});

it("is refused where there is no library for it", async () => {
  vi.resetModules();
  vi.stubEnv("LINGOLENS_ONEDNN", "/nowhere/libdnnl.so.3");
  try {
    const { loadCaptioner: loadAnew } = await import("./load-captioner.js");
    await expect(loadAnew({ dtype: "bf16" })).rejects.toMatchObject({
      code: "engine-unavailable",
      message: expect.stringContaining("/nowhere/libdnnl.so.3"),
    });
  } finally {
    vi.unstubAllEnvs();
  }
});
