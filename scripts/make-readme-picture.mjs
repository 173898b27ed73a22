// Draws docs/images/captions.png: three example pictures with the captions that the bundled model gives them.
//
//     npm run build && node scripts/make-readme-picture.mjs
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { loadCaptioner } from "../dist/index.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const paths = [1, 3, 5].map((i) => join(root, "examples", `scene-${i}.png`));
const captioner = await loadCaptioner();
const results = await captioner.caption(paths, { lang: ["en", "de", "fr", "es"] });
await captioner.close();

const cards = await Promise.all(
  paths.map(async (path) => {
    const source = `data:image/png;base64,${(await readFile(path)).toString("base64")}`;
    const captions = results
      .filter(({ image }) => image === path)
      .map(
        ({ lang, captions: [{ text }] }) =>
          `<dt>${lang.slice(0, 2)}</dt><dd lang="${lang.slice(0, 2)}">${text}</dd>`,
      );
    return `<figure><img src="${source}"><dl>${captions.join("")}</dl></figure>`;
  }),
);
const page = `<!doctype html><meta charset="utf-8"><style>
  body { margin: 0; padding: 28px; width: 1024px; background: #fff; font: 16px/1.45 system-ui, "DejaVu Sans", sans-serif; color: #1d2433 }
  figure { display: flex; gap: 26px; margin: 0; padding: 18px 0; align-items: center }
  figure + figure { border-top: 1px solid #e4e7ee }
  img { width: 176px; height: 176px; border-radius: 14px }
  dl { display: grid; grid-template-columns: 34px 1fr; gap: 8px 10px; margin: 0 }
  dt { font-weight: 600; color: #3659d9 } dd { margin: 0 }
</style>${cards.join("")}`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM_PATH ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
const tab = await browser.newPage({ viewport: { width: 1080, height: 200 } });
await tab.setContent(page);
await tab.screenshot({ path: join(root, "docs", "images", "captions.png"), fullPage: true });
await browser.close();
