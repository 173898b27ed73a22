import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { loadCaptioner } from "../src/captioner/load-captioner.js";
import { writeScenes } from "../src/data/scenes/write.js";
import { evaluateModel } from "../src/evaluation/evaluate-model.js";
import { bundledModelFolder } from "../src/weights/bundled-model.js";
import { hasChromium, launchChromium } from "./support/browser.js";
import { expectAccessible, type OpenPage, openPage, SIZES } from "./support/page.js";
import { temporaryFolder } from "./support/tiny-captioner.js";

// A busy machine draws slowly.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 120_000 });

const PICTURES = 40;

describe.skipIf(!hasChromium)("an evaluation's report in Chromium", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let browser: Browser;
  let url: string;
  let open: OpenPage | undefined;
  let page: Page;

  beforeAll(async () => {
    folder = await temporaryFolder();
    const data = join(folder.path, "scenes");
    await writeScenes({ count: PICTURES, seed: 1, split: "test", out: data });
    const captioner = await loadCaptioner();
    const run = { folder: join(folder.path, "run"), model: { name: "a model", folder: bundledModelFolder } };
    await evaluateModel(captioner, { data, languages: ["en", "de"], like: "original", run });
    await captioner.close();
    url = pathToFileURL(join(run.folder, "report.html")).href;
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await folder?.remove();
  });
  afterEach(async () => {
    if (!open) return;
    const { requests, faults } = open;
    await open.close();
    open = undefined;
    expect(faults).toEqual([]);
    expect(requests.filter((one) => !/ (?:file:|data:)/.test(one))).toEqual([]);
  });

  const settings = (["desktop", "phone"] as const).flatMap((size) =>
    (["light", "dark"] as const).map((colorScheme) => ({ size, colorScheme })),
  );
  describe.each(settings)("at $size size, $colorScheme", ({ size, colorScheme }) => {
    beforeEach(async () => {
      open = await openPage(browser, url, { ...SIZES[size], colorScheme });
      page = open.page;
    });

    it("fits, is accessible, and shows pictures", async () => {
      const { scroll, client } = await page.evaluate(() => {
        const { scrollWidth: scroll, clientWidth: client } = document.documentElement;
        return { scroll, client };
      });
      expect(scroll).toBeLessThanOrEqual(client);
      await expectAccessible(page, "report");
      const widths = await page
        .locator("article img")
        .evaluateAll((images) => images.map((image) => (image as HTMLImageElement).naturalWidth));
      expect(widths).toHaveLength(PICTURES);
      expect(Math.min(...widths)).toBeGreaterThan(0);
    });
  });

  describe("its captions", () => {
    const shown = () => page.locator("article:visible");
    const chrfs = () =>
      shown().evaluateAll((cards) =>
        cards.map((card) =>
          Math.min(
            ...[...card.querySelectorAll<HTMLElement>("li:not([hidden])")].map((item) =>
              Number(item.dataset.chrf),
            ),
          ),
        ),
      );
    beforeEach(async () => {
      open = await openPage(browser, url, SIZES.desktop);
      page = open.page;
    });

    it("come worst first, 24 pictures at a time, and the next by keyboard", async () => {
      expect(await shown().count()).toBe(24);
      const worst = await chrfs();
      expect(worst).toEqual(worst.toSorted((a, b) => a - b));
      const more = page.getByRole("button", { name: "Show 16 more" });
      await more.focus();
      await page.keyboard.press("Enter");
      expect(await shown().count()).toBe(PICTURES);
      expect(await more.isVisible()).toBe(false);
      const focused = await page.evaluate(() =>
        [...document.querySelectorAll("article")].indexOf(document.activeElement as HTMLElement),
      );
      expect(focused).toBe(24);
    });

    it("are filtered by language and text, and sorted", async () => {
      await page.getByLabel("Language").selectOption("de");
      expect(await page.locator("li[data-lang=en]:visible").count()).toBe(0);
      await page.getByLabel("Order").selectOption("data");
      expect(await page.locator("article h3").first().textContent()).toBe("images/000001.png");
      await page.getByLabel("Text").fill("KREUZ");
      const found = await page.locator("article li:visible").allTextContents();
      expect(found.length).toBeGreaterThan(0);
      expect(found.filter((text) => !/kreuz/i.test(text))).toEqual([]);
      expect(await page.getByRole("status").textContent()).toBe(`${found.length} of ${PICTURES} pictures`);
      await page.getByLabel("Text").fill("000007");
      expect(await page.locator("article:visible h3").allTextContents()).toEqual(["images/000007.png"]);
      await page.getByLabel("Text").fill("no such caption");
      expect(await page.getByRole("status").textContent()).toBe(`0 of ${PICTURES} pictures`);
      await expectAccessible(page, "filtered report");
    });
  });

  it("is whole without JavaScript", async () => {
    open = await openPage(browser, url, { javaScriptEnabled: false });
    page = open.page;
    expect(await page.locator("article:visible").count()).toBe(PICTURES);
    expect(await page.locator("form:visible, button:visible").count()).toBe(0);
  });
});
