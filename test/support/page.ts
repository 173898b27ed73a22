/** The web page in Chromium, with what its tests do again and again. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import axe from "axe-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";
import type { Captioner } from "../../src/captioner/captioner.js";
import { ModelFiles } from "../../src/server/model-files.js";
import type { ServerSettings } from "../../src/server/settings.js";
import { StaticFiles } from "../../src/server/static-files.js";
import type { Translations } from "../../src/server/translations.js";
import { bundledModelFolder } from "../../src/weights/bundled-model.js";
import { type TestServer, testServer, withStream } from "./test-server.js";

const built = fileURLToPath(new URL("../../dist/web/", import.meta.url));

/** The server with the page that was built, and the model's files for browsers. */
export async function pageServer(
  captioner: Captioner,
  settings: Partial<ServerSettings> = {},
  translations?: Translations,
): Promise<TestServer> {
  if (!existsSync(built)) throw new Error(`${built} is not there; build it with: npm run build`);
  const files = await StaticFiles.of(built);
  await files!.prepare();
  return testServer(captioner, settings, files, await ModelFiles.of(bundledModelFolder), translations);
}

/** The same model, as if it were large: every step takes a while. */
export function slowed(captioner: Captioner, milliseconds: number): Captioner {
  return withStream(captioner, async function* (image, options) {
    for await (const part of captioner.stream(image, options)) {
      await new Promise((resolve) => setTimeout(resolve, milliseconds));
      yield part;
    }
  });
}

export const SIZES = {
  desktop: { viewport: { width: 1280, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 },
} as const satisfies Record<string, BrowserContextOptions>;

export interface OpenPage {
  readonly page: Page;
  /** All that the page has asked of the network, as "METHOD URL". */
  readonly requests: readonly string[];
  /** Errors of scripts, and what the content security policy has refused. */
  readonly faults: readonly string[];
  close(): Promise<void>;
}

/** Opens the page in a browser profile of its own, in English unless the options say otherwise. */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<OpenPage> {
  const context = await browser.newContext({ locale: "en-US", ...options });
  if (url.startsWith("http"))
    await context.grantPermissions(["camera", "clipboard-read", "clipboard-write"], { origin: url });
  context.setDefaultTimeout(60_000);
  const requests: string[] = [];
  const faults: string[] = [];
  context.on("request", (request) => requests.push(`${request.method()} ${request.url()}`));
  const page = await context.newPage();
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" && /Content Security Policy|Uncaught/.test(message.text()))
      faults.push(message.text());
  });
  await page.goto(url);
  await page.locator("main").waitFor();
  return { page, requests, faults, close: () => context.close() };
}

/** Holds in the end, also where the machine is busy. */
export function eventually(read: () => unknown): ReturnType<typeof expect.poll> {
  return expect.poll(read, { timeout: 50_000 });
}

/** Describes an example and waits for all of its captions. */
export async function describeExample(page: Page, n = 1): Promise<void> {
  await page.getByRole("button", { name: `Example ${n}` }).click();
  await finished(page, 1);
}

/** Waits until so many pictures are on the page, and all are described or have failed. */
export async function finished(page: Page, pictures: number): Promise<void> {
  const done = page.locator("article[aria-busy=false], article:has(.failure)");
  await eventually(() => done.count()).toBe(pictures);
}

/** The caption in a language, as a screen reader reads it. */
export async function captionIn(page: Page, language: string, picture = 0): Promise<string> {
  const card = page.locator("article").nth(picture).locator(`[data-language=${language}]`);
  return (await card.locator("p.for-screen-readers").textContent()) ?? "";
}

/** Holds that axe finds nothing against accessibility. */
export async function expectAccessible(page: Page, where: string): Promise<void> {
  await page.evaluate(axe.source);
  // What is fading in has the colours of neither before nor after.
  await page.evaluate(() => Promise.all(document.getAnimations().map(({ finished }) => finished)));
  const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run());
  const found = violations.map(
    ({ id, nodes }) => `${where}: ${id}: ${nodes.map(({ html }) => html).join(" ")}`,
  );
  expect(found).toEqual([]);
}

export function clipboard(page: Page): Promise<string> {
  return page.evaluate(() => navigator.clipboard.readText());
}

/** A picture that is given to the page by an event, as by dropping or pasting it. */
export async function giveFile(page: Page, event: "drop" | "paste", bytes: Buffer): Promise<void> {
  await page.evaluate(
    ({ event, base64 }) => {
      const data = new DataTransfer();
      const content = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
      data.items.add(new File([content], `${event}.png`, { type: "image/png" }));
      const init = { bubbles: true, cancelable: true };
      document.body.dispatchEvent(
        event === "drop"
          ? new DragEvent("drop", { ...init, dataTransfer: data })
          : new ClipboardEvent("paste", { ...init, clipboardData: data }),
      );
    },
    { event, base64: bytes.toString("base64") },
  );
}
