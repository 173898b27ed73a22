import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CaptionResult } from "../src/captioner/captioner.js";
import { loadCaptioner } from "../src/captioner/load-captioner.js";
import { renderScene } from "../src/data/scenes/render.js";
import { sceneAt } from "../src/data/scenes/scene.js";
import { hasChromium, launchChromium, serveRepository } from "./support/browser.js";

declare const lingolens: typeof import("../src/browser.js");

const COUNT = 50;
const scenes = Array.from({ length: COUNT }, (_, index) =>
  renderScene(sceneAt({ split: "test", seed: 9, index })),
);

/** WebGPU computed by SwiftShader, on the processor: right but slow. */
const SWIFTSHADER = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
];
const ON_WEBGPU = 3;

/** Runs in the page: loads the model and describes pictures that are given as base64 of their RGB samples. */
async function describeInPage({
  pictures,
  device,
}: {
  pictures: readonly { width: number; height: number; base64: string }[];
  device: "wasm" | "webgpu";
}): Promise<{ results: CaptionResult[]; loadMs: number; isolated: boolean }> {
  const started = performance.now();
  const captioner = await lingolens.loadCaptioner({ model: "/models/scenes", device });
  const loadMs = performance.now() - started;
  const images = pictures.map(({ width, height, base64 }) => {
    return { width, height, data: Uint8Array.from(atob(base64), (char) => char.charCodeAt(0)) };
  });
  const results = await captioner.caption(images, { lang: "all" });
  await captioner.close();
  return { results, loadMs, isolated: globalThis.crossOriginIsolated };
}

describe.skipIf(!hasChromium)("lingolens/browser in Chromium", () => {
  let browser: Browser;
  let page: Page;
  let server: Awaited<ReturnType<typeof serveRepository>>;
  let expected: CaptionResult[];
  const given = scenes.map(({ width, height, data }) => {
    return { width, height, base64: Buffer.from(data).toString("base64") };
  });

  async function openLibrary(own: Browser): Promise<Page> {
    const opened = await own.newPage();
    await opened.goto(server.url);
    await opened.waitForFunction(() => "lingolens" in globalThis);
    return opened;
  }

  beforeAll(async () => {
    server = await serveRepository();
    browser = await launchChromium();
    page = await openLibrary(browser);
    const captioner = await loadCaptioner();
    expected = await captioner.caption(scenes, { lang: "all" });
    await captioner.close();
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  /** Share of equal captions; every other one must be a tie. */
  function compare(results: readonly CaptionResult[], wanted: readonly CaptionResult[]): number {
    expect(results).toHaveLength(wanted.length);
    let equal = 0;
    results.forEach((result, i) => {
      const other = wanted[i]!;
      if ("error" in result || "error" in other) throw new Error("a picture failed");
      expect(result.lang).toBe(other.lang);
      if (`${result.captions[0]!.tokens}` === `${other.captions[0]!.tokens}`) equal += 1;
      else expect(Math.abs(result.captions[0]!.score - other.captions[0]!.score)).toBeLessThan(1e-4);
    });
    return equal / results.length;
  }

  it("gives Node's captions of 50 scenes in four languages, in WebAssembly with threads", async () => {
    const { results, isolated } = await page.evaluate(describeInPage, {
      pictures: given,
      device: "wasm" as const,
    });
    expect(isolated).toBe(true);
    expect(compare(results, expected)).toBeGreaterThanOrEqual(0.99);
  }, 120_000);

  it(`gives Node's captions of ${ON_WEBGPU} scenes in four languages on WebGPU`, async ({ skip }) => {
    const own = await launchChromium(SWIFTSHADER);
    try {
      const opened = await openLibrary(own);
      const hasAdapter = await opened.evaluate(async () => {
        const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<unknown> } };
        return Boolean(await gpu?.requestAdapter());
      });
      skip(!hasAdapter, "This Chromium has no WebGPU adapter, not even SwiftShader's.");
      const { results } = await opened.evaluate(describeInPage, {
        pictures: given.slice(0, ON_WEBGPU),
        device: "webgpu" as const,
      });
      expect(compare(results, expected.slice(0, ON_WEBGPU * 4))).toBeGreaterThan(0.9); // One tie may be among so few.
    } finally {
      await own.close();
    }
  }, 180_000);

  it("works without network once it has been loaded", async () => {
    const context = page.context();
    const wasm = await page.evaluate(() => performance.getEntriesByType("resource").length);
    expect(wasm).toBeGreaterThan(0);
    // The scripts are still in the page; the model's files must come out of the cache.
    await context.route("**/models/**", (route) => route.abort());
    const { results } = await page.evaluate(describeInPage, {
      pictures: given.slice(0, 2),
      device: "wasm" as const,
    });
    await context.unroute("**/models/**");
    expect(compare(results, expected.slice(0, 8))).toBe(1);
  }, 60_000);

  it("decodes picture files, and says what is wrong with others", async () => {
    const outcome = await page.evaluate(async () => {
      const load = lingolens.loadCaptioner;
      const captioner = await load({ model: "/models/scenes/", device: "wasm" });
      const blob = await (await fetch("/examples/scene-1.png")).blob();
      const results = await captioner.caption(
        [blob, "/examples/scene-1.png", "/examples/none.png", new Uint8Array([1, 2, 3])],
        { lang: "en" },
      );
      await captioner.close();
      const missing = await load({ model: "/models/none", device: "wasm" }).catch((error) => error.code);
      const refused = await load({ model: "/models/scenes", device: "webgpu" }).catch((error) => error.code);
      return {
        results: results.map((result) => ("error" in result ? result.error.code : result.captions[0]!.text)),
        missing,
        refused,
      };
    });
    expect(outcome).toEqual({
      results: [
        "a blue circle to the right of a large orange star",
        "a blue circle to the right of a large orange star",
        "fetch-failed",
        "unreadable-image",
      ],
      missing: "file-not-found",
      refused: "engine-unavailable",
    });
  }, 60_000);
});
