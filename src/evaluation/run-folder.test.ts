import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PictureLines } from "./describe-pictures.js";
import type { EvaluatedPicture } from "./evaluated-pictures.js";
import { CAPTIONS_FILE, METRICS_FILE, type RunLine, readRun, SETTINGS_FILE } from "./run-files.js";
import { RunFolder } from "./run-folder.js";

const CODES = ["en_XX", "de_DE"];
/** The last picture has no reference in German, and the third cannot be read. */
const pictures: EvaluatedPicture[] = Array.from({ length: 7 }, (_, i) => {
  const image = `${i}.png`;
  const references = new Map(CODES.slice(0, i === 6 ? 1 : 2).map((code) => [code, [`a ${code} é`]]));
  return { image, references, entry: { image, imagePath: `/${image}`, captions: {}, fields: {} } };
});
const allLines: PictureLines[] = pictures.map(({ image, references }, i): RunLine[] =>
  i === 2
    ? [{ image, error: { code: "unreadable-image", message: "broken" } }]
    : [...references].map(([code, own]) => ({
        image,
        lang: code.slice(0, 2),
        caption: `ein "Süßes" ${"x".repeat(i)}\n`,
        references: [...own],
        score: -0.1 / 3,
        nll: 1 / 3,
        tokens: 5,
      })),
);
const BATCH = 2;
const settings = { model: "m".repeat(64), beams: 4, limit: undefined, lang: CODES };

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-test-"));
  path = join(folder, "run");
});
afterEach(() => rm(folder, { recursive: true }));

const text = () => readFile(join(path, CAPTIONS_FILE), "utf8");
const keep = (run: RunFolder) => run.keep(pictures, BATCH);
const goOn = () =>
  RunFolder.use(path, settings, async (run) => {
    const kept = await keep(run);
    for (let at = kept.length; at < pictures.length; at += BATCH)
      await run.append(allLines.slice(at, at + BATCH));
    return kept;
  });

describe("a run's folder", () => {
  it("keeps all of a run that is done", async () => {
    expect(await goOn()).toEqual([]);
    const whole = await text();
    expect(await goOn()).toEqual(allLines);
    expect(await text()).toBe(whole);
  });

  it("cut anywhere, keeps whole batches and comes to the same end", async () => {
    await goOn();
    const whole = await readFile(join(path, CAPTIONS_FILE));
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.boolean(), async (length, isDamaged) => {
        await truncate(join(path, CAPTIONS_FILE), length);
        // What a power cut may leave where the system had not written yet.
        if (isDamaged) await writeFile(join(path, CAPTIONS_FILE), Buffer.alloc(50), { flag: "a" });
        const kept = await goOn();
        expect(kept).toEqual(allLines.slice(0, kept.length));
        expect(kept.length % BATCH).toBe(0);
        const keptText = kept
          .flat()
          .map((line) => `${JSON.stringify(line)}\n`)
          .join("");
        // No batch that was written whole is made again.
        const next = allLines.slice(kept.length, kept.length + BATCH).flat();
        const nextText = next.map((line) => `${JSON.stringify(line)}\n`).join("");
        expect(Buffer.byteLength(keptText)).toBeLessThanOrEqual(length);
        expect(Buffer.byteLength(keptText + nextText)).toBeGreaterThan(length);
        expect(await readFile(join(path, CAPTIONS_FILE))).toEqual(whole);
      }),
      { numRuns: 60 },
    );
  });

  it("is what compare reads, pictures that failed left out", async () => {
    await goOn();
    const run = await readRun(path);
    expect([...run.keys()]).toEqual(["en", "de"]);
    expect(run.get("en")!.map(({ image }) => image)).toEqual([
      "0.png",
      "1.png",
      "3.png",
      "4.png",
      "5.png",
      "6.png",
    ]);
    expect(run.get("de")).toHaveLength(5);
  });

  it("is refused where the run was asked for something else, in words", async () => {
    await goOn();
    const asked = { ...settings, model: "n".repeat(64), beams: 2, limit: 3 };
    const before = await text();
    await expect(RunFolder.use(path, asked, keep)).rejects.toMatchObject({
      code: "already-exists",
      message: expect.stringMatching(
        /got one with another model; beams 4, not 2; limit none, not 3\. Name another/,
      ),
    });
    expect(await text()).toBe(before);
  });

  it("is refused where it is no run's, and nothing is written there", async () => {
    await mkdir(path);
    await writeFile(join(path, "holiday.txt"), "");
    await expect(RunFolder.use(path, settings, keep)).rejects.toMatchObject({
      code: "already-exists",
      message: expect.stringContaining("got one with holiday.txt"),
    });
    expect(await readdir(path)).toEqual(["holiday.txt"]);
    await writeFile(join(path, SETTINGS_FILE), "no JSON");
    await expect(RunFolder.use(path, settings, keep)).rejects.toMatchObject({ code: "already-exists" });
  });

  it("that cannot be made is an error that names it", async () => {
    await writeFile(path, "a file");
    await expect(RunFolder.use(path, settings, keep)).rejects.toMatchObject({
      code: "output-unwritable",
      message: expect.stringContaining(path),
    });
  });

  it("loses what a killed process was writing beside it", async () => {
    await RunFolder.use(path, settings, (run) => run.write(METRICS_FILE, "{}\n"));
    await writeFile(join(path, ".tmp-metrics.json-12-0123abcd"), "half");
    await goOn();
    expect((await readdir(path)).sort()).toEqual([CAPTIONS_FILE, METRICS_FILE, SETTINGS_FILE]);
  });

  it("has one process at a time, others wait", async () => {
    const events: string[] = [];
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const first = RunFolder.use(path, settings, async () => {
      events.push("first in");
      await held;
      events.push("first out");
    });
    while (events.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const second = RunFolder.use(path, settings, async () => void events.push("second in"), {
      onWait: () => {
        events.push("second waits");
        release();
      },
    });
    await Promise.all([first, second]);
    expect(events).toEqual(["first in", "second waits", "first out", "second in"]);
  });
});
