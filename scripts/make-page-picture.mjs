// Makes docs/images/page.png, the picture of the page in the README: npm run build, then
// node scripts/make-page-picture.mjs
//
// It needs Chromium (another than Debian's by CHROMIUM_PATH). The picture is of examples/scene-1.png, described in four
// languages, with a word pointed at.
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import sharp from "sharp";
import { root } from "./prepare.mjs";

const out = join(root, "docs", "images", "page.png");
const MOST_BYTES = 200_000;

const server = spawn(process.execPath, [join(root, "dist", "cli", "main.js"), "serve", "--port", "0"], {
  stdio: ["ignore", "pipe", "ignore"],
});
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_PATH ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
try {
  const [url] = await new Promise((resolve, reject) => {
    createInterface(server.stdout).once("line", (line) => resolve([line]));
    server.once("exit", (code) => reject(new Error(`The server ended with ${code}.`)));
  });
  const page = await browser.newPage({
    viewport: { width: 1200, height: 1160 },
    colorScheme: "light",
    locale: "en-US",
    reducedMotion: "reduce",
  });
  await page.goto(url);
  await page.getByRole("button", { name: "Example 1" }).click();
  await page.locator("article[aria-busy=false]").waitFor();
  await page.locator("[data-language=de] .word").nth(2).hover();
  await page.locator("canvas.heat-map").waitFor();
  // Without the history, which is below.
  const bottom = await page.locator("article").evaluate((card) => card.getBoundingClientRect().bottom);
  const shot = await page.screenshot({ clip: { x: 0, y: 0, width: 1200, height: Math.ceil(bottom) + 32 } });
  // Eight bits of colour are plenty for a page, and a third of the bytes.
  const picture = await sharp(shot).png({ palette: true, quality: 90, compressionLevel: 9 }).toBuffer();
  if (picture.length > MOST_BYTES) throw new Error(`The picture has ${picture.length} bytes.`);
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, picture);
  console.log(`${out}: ${picture.length} bytes`);
} finally {
  await browser.close();
  server.kill();
}
