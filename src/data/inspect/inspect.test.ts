import { mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type DefaultTreeAdapterTypes, parse } from "parse5";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { jpeg, type Members, writeTar } from "../../../test/support/shards.js";
import { Histogram } from "./histogram.js";
import { inspectDataset, inspectionJson } from "./inspect.js";
import { inspectionPage } from "./page.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-inspect-"));
});
afterEach(() => rm(folder, { recursive: true }));

const HOSTILE = `</p><script>document.title="no"</script><img src=x onerror=alert(1)> "'&`;

async function sample(number: number, captions: Record<string, unknown>): Promise<Members> {
  const key = `${number}`.padStart(6, "0");
  const json = { captions, width: 48, height: 40 };
  return [
    [`${key}.jpg`, await jpeg(number)],
    [`${key}.json`, JSON.stringify(json)],
  ];
}

async function writeShards(split: string, counts: readonly number[]): Promise<void> {
  await mkdir(join(folder, split), { recursive: true });
  let number = 0;
  for (const [i, count] of counts.entries()) {
    const members: Members[] = [];
    for (let n = 0; n < count; n++) {
      number += 1;
      const rejected = number % 3 === 0;
      members.push(
        await sample(number, {
          en: [`one two ${number}`, "one"],
          ...(rejected ? {} : { de_DE: "eins zwei drei vier" }),
        }),
      );
    }
    await writeTar(join(folder, split, `0000${i}.tar`), members.flat());
  }
}

describe("inspectDataset", () => {
  it("counts pictures and captions by split and language", async () => {
    await writeShards("train", [5, 4]);
    await writeShards("validation", [3]);
    const { splits, problems } = inspectionJson(await inspectDataset({ input: folder }));
    expect(problems).toEqual([]);
    expect(splits.train).toMatchObject({ pictures: 9, captions: 24, missing: 0 });
    expect(splits.train!.languages.en).toEqual({
      pictures: 9,
      captions: 18,
      words: { least: 1, mean: 2, median: 1, p95: 3, most: 3 },
      characters: { least: 3, mean: 6, median: 3, p95: 9, most: 9 },
    });
    expect(splits.train!.languages.de).toMatchObject({ pictures: 6, captions: 6 });
    expect(splits.train!.width).toMatchObject({ least: 48, most: 48 });
    expect(splits.train!.bytes).toBeGreaterThan(1000);
    expect(splits.validation).toMatchObject({ pictures: 3, captions: 8 });
  });

  it("takes splits and verdicts from a list, and notices files that are not there", async () => {
    const lines = [
      { image: "a.jpg", captions: { en: "a" }, split: "train", translations: { de: [{ verdict: "ok" }] } },
      { image: "b.jpg", captions: { en: "b" }, split: "val", translations: { de: [{ verdict: "length" }] } },
    ];
    await writeFile(join(folder, "captions.jsonl"), lines.map((line) => JSON.stringify(line)).join("\n"));
    await writeFile(join(folder, "a.jpg"), await jpeg(1));
    const { splits } = inspectionJson(await inspectDataset({ input: folder }));
    expect(splits.train).toMatchObject({ pictures: 1, missing: 0, translations: { de: { ok: 1 } } });
    expect(splits.val).toMatchObject({ pictures: 1, missing: 1, translations: { de: { length: 1 } } });
  });

  it("sums what counts beside shards say, ours and img2dataset's", async () => {
    await writeTar(join(folder, "00000.tar"), await sample(1, { en: "a" }));
    const stats = [
      { count: 10, successes: 7, status_dict: { success: 7, "http-404": 2, timeout: 1 } },
      { count: 5, successes: 4, status_dict: { success: 4, "HTTP Error 404: Not Found": 1 } },
      { count: 3, successes: 0, status_dict: { "http-404": 3 } },
    ];
    for (const [i, stat] of stats.entries())
      await writeFile(join(folder, `0000${i}_stats.json`), JSON.stringify(stat));
    const { download } = await inspectDataset({ input: folder });
    expect(download).toEqual({
      rows: 18,
      succeeded: 11,
      failed: { "http-404": 5, timeout: 1, "HTTP Error 404: Not Found": 1 },
    });
  });

  it("counts the rest of a dataset with a damaged shard, and tells of it", async () => {
    await writeShards(".", [4, 4]);
    await truncate(join(folder, "00000.tar"), 3000);
    const { splits, problems } = await inspectDataset({ input: folder });
    expect(splits.get("all")!.pictures).toBeGreaterThanOrEqual(4);
    expect(problems).toEqual([expect.stringContaining("00000.tar")]);
  });
});

describe("inspectionPage", () => {
  it("is one file that shows captions as text, whatever they hold", async () => {
    await writeTar(join(folder, "00000.tar"), [
      ...(await sample(1, { en: HOSTILE, ar: "قطة" })),
      ["000002.jpg", "no picture"],
      ["000002.json", JSON.stringify({ captions: { en: "two" } })],
    ]);
    const inspection = await inspectDataset({ input: folder, samples: 10 });
    const page = await inspectionPage(`<b>${HOSTILE}`, inspection);
    expect(page).not.toMatch(/<(?:link|iframe|object)|src="(?!data:image\/jpeg;base64,)|url\(/);
    const elements = elementsOf(parse(page));
    expect(elements.filter(({ tagName }) => tagName === "script")).toHaveLength(1);
    expect(elements.filter(({ tagName }) => tagName === "img")).toHaveLength(1);
    const shown = elements.filter(({ tagName }) => tagName === "dd").map(textOf);
    expect(shown).toEqual([HOSTILE, "قطة", "two"]);
    expect(textOf(elements.find(({ tagName }) => tagName === "h1")!)).toBe(`<b>${HOSTILE}`);
  });

  it("chooses the same pictures every time", async () => {
    await writeShards(".", [12]);
    const chosen = async () =>
      (await inspectDataset({ input: folder, samples: 5 })).samples.map(({ image }) => image);
    const first = await chosen();
    expect(first).toHaveLength(5);
    expect(new Set(first).size).toBe(5);
    expect(await chosen()).toEqual(first);
  });
});

function elementsOf(node: DefaultTreeAdapterTypes.Node): DefaultTreeAdapterTypes.Element[] {
  const children = "childNodes" in node ? node.childNodes.flatMap(elementsOf) : [];
  return "tagName" in node ? [node, ...children] : children;
}

function textOf(node: DefaultTreeAdapterTypes.Node): string {
  if ("value" in node) return node.value;
  return "childNodes" in node ? node.childNodes.map(textOf).join("") : "";
}

it("Histogram gives the quantiles of the values", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { minLength: 1 }), (values) => {
      const histogram = new Histogram();
      for (const value of values) histogram.add(value);
      const sorted = [...values].sort((a, b) => a - b);
      const { least, median, p95, most } = histogram.distribution!;
      expect([least, median, p95, most]).toEqual([
        sorted[0],
        sorted[Math.ceil(sorted.length / 2) - 1],
        sorted[Math.ceil(0.95 * sorted.length) - 1],
        sorted.at(-1),
      ]);
      expect(
        histogram
          .from(0, 50)
          .map(([, count]) => count)
          .reduce((a, b) => a + b),
      ).toBe(values.length);
    }),
  );
});
