import { createHash } from "node:crypto";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HostileWeb, startHostileWeb } from "../../../test/support/hostile-web.js";
import { readDataset } from "../dataset.js";
import { parseColumns } from "./columns.js";
import { type DownloadOptions, downloadPictures, retryPictures } from "./download.js";
import { isPassing } from "./loss.js";
import { readDoneMarker, readShardRows, type ShardRow } from "./shard-files.js";

let folder: string;
/** With all there is, and with what answers at once. */
let hostile: HostileWeb;
let web: HostileWeb;
const ROWS = 250;
const SHARD_SIZE = 60;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-download-"));
  hostile = await startHostileWeb({ rows: ROWS });
  await writeFile(join(folder, "hostile.tsv"), hostile.tsv);
  web = await startHostileWeb({ rows: ROWS, without: ["timeout", "too-large", "http-500"] });
  await writeFile(join(folder, "list.tsv"), web.tsv);
});
afterAll(async () => {
  await hostile.close();
  await web.close();
  await rm(folder, { recursive: true });
});

const settings = (out: string, changed: Partial<DownloadOptions> = {}): DownloadOptions => ({
  input: join(folder, "list.tsv"),
  columns: parseColumns("url,caption"),
  out: join(folder, out),
  shardSize: SHARD_SIZE,
  pictures: { resize: "border", size: 64 },
  lookup: web.lookup,
  ...changed,
  fetch: { allowPrivate: true, deadline: 20, perHost: 32, maxBytes: 2 ** 20, ...changed.fetch },
});

async function rowsIn(out: string): Promise<ShardRow[]> {
  const names = (await readdir(out)).filter((name) => name.endsWith(".parquet")).sort();
  return (await Promise.all(names.map((name) => readShardRows(out, name.slice(0, 5))))).flat();
}

/** The tar files' digests, and all rows but for the words of errors, which the system chooses. */
async function contentOf(out: string) {
  const tars = (await readdir(out)).filter((name) => name.endsWith(".tar")).sort();
  const digest = async (name: string) =>
    createHash("sha256")
      .update(await readFile(join(out, name)))
      .digest("hex");
  const rows = (await rowsIn(out)).map(({ error_message: _, ...row }) => row);
  return { tars: await Promise.all(tars.map(digest)), rows };
}

describe("downloadPictures on a hostile web", () => {
  it("ends, with every row accounted for as it has to be", async () => {
    const progress = { rows: 0, succeeded: 0, bytes: 0, total: 0 };
    const counts = await downloadPictures(
      settings("hostile", {
        input: join(folder, "hostile.tsv"),
        lookup: hostile.lookup,
        fetch: { deadline: 6 },
        onProgress: (now) => Object.assign(progress, now),
      }),
    );
    const rows = await rowsIn(join(folder, "hostile"));
    expect(rows.map(({ url, caption, failure }) => ({ url, caption, became: failure ?? "success" }))).toEqual(
      hostile.rows.map(({ url, caption, expected }) => ({ url, caption, became: expected })),
    );
    expect(counts).toEqual(hostile.counts);
    expect(progress).toMatchObject({ rows: ROWS, total: ROWS });
    // Once more if that may help, and no more than that.
    const asked = (kind: string) => [...hostile.requests].filter(([path]) => path.startsWith(`/${kind}/`));
    expect(asked("404").every(([, times]) => times === 1)).toBe(true);
    expect(asked("500").every(([, times]) => times === 2)).toBe(true);
    expect(asked("reset-at-first").every(([, times]) => times === 2)).toBe(true);
  });

  it("gives shards that read as a data set, with a file of every kind", async () => {
    const out = join(folder, "a");
    expect(await downloadPictures(settings("a"))).toEqual(web.counts);
    const rows = new Map((await rowsIn(out)).map((row) => [row.key, row]));
    let samples = 0;
    for await (const { image, captions, fields } of readDataset(out)) {
      const row = rows.get(image.replace(/\.jpg$/, ""))!;
      expect(captions).toEqual({ en: [row.caption] });
      expect(fields).toMatchObject({
        url: row.url,
        width: 64,
        height: 64,
        original_width: 240,
        sha256: row.sha256,
      });
      samples += 1;
    }
    expect(samples).toBe(web.counts.succeeded);
    const stats = JSON.parse(await readFile(join(out, "00001_stats.json"), "utf8"));
    const marker = await readDoneMarker(out, "00001");
    expect(stats).toMatchObject({ count: SHARD_SIZE, successes: marker!.succeeded });
    expect(stats.status_dict).toEqual({ success: marker!.succeeded, ...marker!.failed });
    expect((await readdir(out)).filter((name) => name.startsWith(".tmp") || name.endsWith(".next"))).toEqual(
      [],
    );
  });

  it("gives the same bytes in tasks that know nothing of each other, in any order", async () => {
    const inTasks = (taskIndex: number) => downloadPictures(settings("b", { taskIndex, taskCount: 3 }));
    const [second, first] = [await inTasks(1), await inTasks(0)];
    expect(first.rows + second.rows).toBe(3 * SHARD_SIZE + (ROWS % SHARD_SIZE));
    await inTasks(2);
    expect(await contentOf(join(folder, "b"))).toEqual(await contentOf(join(folder, "a")));
  });

  it("does only what is missing", async () => {
    const out = join(folder, "c");
    await cp(join(folder, "a"), out, { recursive: true });
    const before = await contentOf(out);
    await rm(join(out, "00002.done.json"));
    const requests = () => [...web.requests.values()].reduce((a, b) => a + b, 0);
    const [start, all] = [requests(), await downloadPictures(settings("c"))];
    expect(all).toEqual(web.counts);
    expect(requests() - start).toBeLessThan(4 * SHARD_SIZE);
    expect(await contentOf(out)).toEqual(before);
    const again = requests();
    expect(await downloadPictures(settings("c"))).toEqual(web.counts);
    expect(requests()).toBe(again);
  });

  it("lets two commands do the same work without harm", async () => {
    const both = [downloadPictures(settings("d")), downloadPictures(settings("d"))];
    expect(await Promise.all(both)).toEqual([web.counts, web.counts]);
    expect(await contentOf(join(folder, "d"))).toEqual(await contentOf(join(folder, "a")));
  });

  it("fetches nothing from private addresses unless allowed to", async () => {
    const before = web.requests.size;
    const out = { ...settings("e"), pictures: {}, fetch: {} };
    const { failed } = await downloadPictures(out);
    expect(web.requests.size).toBe(before);
    expect(failed["address-refused"]).toBeGreaterThan(ROWS / 2);
    expect(Object.keys(failed).sort()).toEqual(["address-refused", "bad-url", "dns"]);
  });

  it("refuses a folder that was begun otherwise", async () => {
    const changed = { ...settings("a"), pictures: { resize: "border", size: 128 } as const };
    await expect(downloadPictures(changed)).rejects.toMatchObject({ code: "config-invalid" });
    await expect(downloadPictures(settings("a", { shardSize: 61 }))).rejects.toThrow(/shardSize 60/);
  });

  it("stops when it is told to", async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 300);
    const run = downloadPictures(settings("f", { signal: controller.signal }));
    await expect(run).rejects.toMatchObject({ code: "cancelled" });
    expect(await downloadPictures(settings("f"))).toEqual(web.counts);
  });
});

describe("retryPictures", () => {
  it("fetches what failed into the shards that are there", async () => {
    const down = await startHostileWeb({ rows: 1 });
    const { base } = down;
    await down.close();
    // The web of before is gone, and then it is back under another address: rows are as they were, but for it.
    const list = join(folder, "moved.tsv");
    const urls = Array.from({ length: 30 }, (_, i) =>
      i % 3 === 0 ? `${base}/jpeg/${i}` : `${web.base}/jpeg/${i}`,
    );
    await writeFile(list, urls.map((url, i) => `${url}\tnumber ${i}\n`).join(""));
    const options = settings("g", { input: list, shardSize: 10 });
    expect(await downloadPictures(options)).toEqual({ rows: 30, succeeded: 20, failed: { connection: 10 } });
    const before = await rowsIn(options.out);
    expect(await retryPictures({ ...options, isWanted: (loss) => loss === "http-404" })).toMatchObject({
      succeeded: 20,
    });
    expect(await rowsIn(options.out)).toEqual(before);

    const back = await startHostileWeb({ rows: 1, port: Number(new URL(base).port) });
    expect(await retryPictures({ ...options, isWanted: isPassing })).toEqual({
      rows: 30,
      succeeded: 30,
      failed: {},
    });
    await back.close();
    const images: string[] = [];
    for await (const { captions } of readDataset(options.out)) images.push(captions.en![0]!);
    expect(images).toEqual(urls.map((_, i) => `number ${i}`));
  });
});
