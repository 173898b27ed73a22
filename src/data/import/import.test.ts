import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { jpeg } from "../../../test/support/shards.js";
import { type DatasetEntry, readDataset } from "../dataset.js";
import { retryPictures } from "../download/download.js";
import { readShardRows } from "../download/shard-files.js";
import { tsvRow } from "../pack/tsv-row.js";
import { type ImportOptions, importList } from "./import.js";

const PICTURES = 25;
const LANGUAGES = ["en", "de", "fr_XX", "es"];

let folder: string;
let server: Server;
let requests: string[];
/** Number of a picture that is not there, and comes later. */
const LATE = 7;
let late: boolean;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-import-"));
  requests = [];
  late = false;
  server = createServer(async (request, answer) => {
    requests.push(request.url!);
    const number = Number(request.url!.slice(1));
    if (number === LATE && !late) answer.writeHead(404).end();
    else answer.end(await jpeg(number));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const rows = Array.from({ length: PICTURES }, (_, i) =>
    LANGUAGES.map((lang) => [`${i}.jpg`, `${lang} "${i}"`, `http://127.0.0.1:${port}/${i}`, lang]),
  );
  // As the original wrote them: all of a run in one language, then in the next.
  const ordered = LANGUAGES.flatMap((_, lang) => rows.map((ofPicture) => ofPicture[lang]!));
  const header = tsvRow(["image_file", "caption", "url", "lang_id"]);
  await writeFile(join(folder, "train.tsv"), header + ordered.map(tsvRow).join(""));
});
afterEach(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

const settings = (changed: Partial<ImportOptions> = {}): ImportOptions => ({
  input: join(folder, "train.tsv"),
  out: join(folder, "out"),
  shardSize: 10,
  workers: 0,
  fetch: { allowPrivate: true },
  ...changed,
});

async function entriesOf(out = "out"): Promise<DatasetEntry[]> {
  const entries: DatasetEntry[] = [];
  for await (const entry of readDataset(join(folder, out))) entries.push(entry);
  return entries;
}

const captionsOf = (number: number) =>
  Object.fromEntries(LANGUAGES.map((lang) => [lang, [`${lang} "${number}"`]]));

describe("importList", () => {
  it("makes a sample of each picture with all its captions, fetched once", async () => {
    const counts = await importList(settings());
    expect(counts).toEqual({ rows: PICTURES, succeeded: PICTURES - 1, failed: { "http-404": 1 } });
    expect([...requests].sort()).toEqual(Array.from({ length: PICTURES }, (_, i) => `/${i}`).sort());
    const entries = await entriesOf();
    expect(entries.map(({ fields }) => fields.image_file)).toEqual(
      Array.from({ length: PICTURES }, (_, i) => `${i}.jpg`).filter((name) => name !== `${LATE}.jpg`),
    );
    for (const { captions, fields } of entries) {
      expect(captions).toEqual(captionsOf(Number.parseInt(`${fields.image_file}`, 10)));
      expect(fields).toMatchObject({ width: 48, height: 40 });
    }
    expect(await importList(settings())).toEqual(counts);
    expect(requests.length).toBe(PICTURES);
  });

  it("keeps the captions of what is fetched later, and of what is lost", async () => {
    await importList(settings());
    const lost = (await readShardRows(join(folder, "out"), "00000")).find(({ failure }) => failure);
    expect(JSON.parse(lost!.captions!)).toEqual(captionsOf(LATE));
    late = true;
    const counts = await retryPictures({
      ...settings(),
      isWanted: (loss) => loss === "http-404",
    });
    expect(counts).toEqual({ rows: PICTURES, succeeded: PICTURES, failed: {} });
    const entries = await entriesOf();
    expect(entries).toHaveLength(PICTURES);
    expect(entries[LATE]!.captions).toEqual(captionsOf(LATE));
  });

  it("reads pictures from a folder, without a request, and says which are not there", async () => {
    const images = join(folder, "images");
    await mkdir(images);
    for (let i = 0; i < PICTURES - 1; i++) await writeFile(join(images, `${i}.jpg`), await jpeg(i));
    const options = settings({ images, pictures: { resize: "border", size: 32 } });
    const counts = await importList(options);
    expect(counts).toEqual({ rows: PICTURES, succeeded: PICTURES - 1, failed: { "missing-file": 1 } });
    expect(requests).toEqual([]);
    const entries = await entriesOf();
    expect(entries[3]).toMatchObject({ captions: captionsOf(3), fields: { width: 32, original_width: 48 } });
    await writeFile(join(images, `${PICTURES - 1}.jpg`), await jpeg(PICTURES - 1));
    const again = await retryPictures({ ...options, isWanted: (loss) => loss === "missing-file" });
    expect(again.succeeded).toBe(PICTURES);
  });

  it("is divided among tasks that begin at once", async () => {
    late = true;
    const tasks = [0, 1, 1].map((taskIndex) => importList(settings({ taskIndex, taskCount: 2 })));
    expect((await Promise.all(tasks)).map(({ rows }) => rows)).toEqual([15, 10, 10]);
    await importList(settings({ out: join(folder, "whole") }));
    const said = (entries: DatasetEntry[]) =>
      entries.map(({ image, captions, fields }) => ({ image, captions, fields }));
    expect(said(await entriesOf())).toEqual(said(await entriesOf("whole")));
  });

  it("refuses another list in the same folder", async () => {
    await importList(settings());
    await writeFile(join(folder, "train.tsv"), tsvRow(["a.jpg", "a", "http://x", "en"]));
    await expect(importList(settings())).rejects.toThrow(/begun with train.tsv/);
  });
});
