import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseColumns } from "./columns.js";
import { type ListRow, readList } from "./read-list.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-list-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(name: string, content: string | Uint8Array, columns = "url,caption"): Promise<ListRow[]> {
  const path = join(folder, name);
  await writeFile(path, content);
  return readAll(path, columns);
}

async function readAll(path: string, columns = "url,caption"): Promise<ListRow[]> {
  const rows: ListRow[] = [];
  for await (const some of readList(path, parseColumns(columns))) rows.push(...some);
  return rows;
}

const row = (url: string, caption: string): ListRow => ({ url, caption });

describe("readList", () => {
  it("reads Conceptual 12M's TSV and Conceptual Captions'", async () => {
    expect(await read("a.tsv", 'http://a/1\ta "cat\nhttp://a/2\tdogs\r\n')).toEqual([
      row("http://a/1", 'a "cat'),
      row("http://a/2", "dogs"),
    ]);
    expect(await read("b.tsv", "a cat\thttp://a/1\n", "caption,url")).toEqual([row("http://a/1", "a cat")]);
    expect(await read("c.tsv", "key\tURL\tcaption\n7\thttp://a/1\ta cat\n")).toEqual([
      row("http://a/1", "a cat"),
    ]);
    expect(await read("d.tsv", "7\thttp://a/1\ta cat", "key,url,caption")).toEqual([
      row("http://a/1", "a cat"),
    ]);
  });

  it("gives what a row does not have as empty, and no row for an empty line", async () => {
    expect(await read("a.tsv", "http://a/1\n\n\ta cat\n")).toEqual([row("http://a/1", ""), row("", "a cat")]);
    expect(await read("b.tsv", "")).toEqual([]);
  });

  it("reads CSV as it was written", async () => {
    const field = (text: string) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const word = fc.string({ unit: fc.constantFrom("a", "é", '"', ",", "\n", " ", "猫"), maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(word, word), { maxLength: 20 }), async (pairs) => {
        const lines = pairs.map(([url, caption]) => `${field(`u${url}`)},${field(caption)}\n`);
        const rows = await read("a.csv", `url,caption\n${lines.join("")}`);
        expect(rows).toEqual(pairs.map(([url, caption]) => row(`u${url}`.trim(), caption.trim())));
      }),
    );
  });

  it("reads a large file without losing what lies across two pieces", async () => {
    const rows = Array.from({ length: 90_000 }, (_, i) =>
      row(`http://a/${i}`, `an ${"ü".repeat(1 + (i % 90))}`),
    );
    const lines = rows.map(({ url, caption }) => `${url}\t${caption}\n`).join("");
    expect(Buffer.byteLength(lines)).toBeGreaterThan(8.5e6);
    expect(await read("large.tsv", lines)).toEqual(rows);
    expect(await read("large.csv", lines.replaceAll("\t", ',"').replaceAll("\n", '"\n'))).toEqual(rows);
  });

  it("reads JSON lines and Parquet by the names of their columns", async () => {
    const lines = '{"URL":"http://a/1","TEXT":"a cat"}\n{"URL":null}\n';
    expect(await read("a.jsonl", lines, "url=URL,caption=TEXT")).toEqual([
      row("http://a/1", "a cat"),
      row("", ""),
    ]);
    const urls = Array.from({ length: 2500 }, (_, i) => `http://a/${i}`);
    const bytes = parquetWriteBuffer({
      columnData: [
        { name: "TEXT", data: urls.map((url) => `of ${url}`), type: "STRING" },
        { name: "url", data: urls, type: "STRING" },
      ],
      rowGroupSize: 1000,
    });
    expect(await read("a.parquet", new Uint8Array(bytes), "url,caption=text")).toEqual(
      urls.map((url) => row(url, `of ${url}`)),
    );
  });

  it.each([
    ["no such file", () => readAll(join(folder, "missing.parquet")), "file-not-found"],
    ["another ending", () => read("a.xlsx", ""), "dataset-invalid"],
    ["a line that is no JSON", () => read("b.jsonl", "{}\n{"), "dataset-invalid"],
    ["no Parquet", () => read("b.parquet", "PAR1 no"), "dataset-invalid"],
    ["an open quotation mark", () => read("b.csv", 'http://a/1,"a cat\n'), "dataset-invalid"],
    [
      "columns that are not there",
      () => read("a.parquet", pets(), "url=URL,caption=words"),
      "config-invalid",
    ],
    ["columns said wrongly", () => read("a.tsv", "", "url,text"), "config-invalid"],
  ])("refuses %s", async (_, reading, code) => {
    await expect((async () => reading())()).rejects.toMatchObject({ code });
  });
});

const pets = () =>
  new Uint8Array(parquetWriteBuffer({ columnData: [{ name: "url", data: ["http://a/1"], type: "STRING" }] }));

const shared = process.env.LINGOLENS_SHARED;
describe.skipIf(!shared)("readList of real lists", () => {
  const file = (name: string) => join(shared!, "fixtures", name);

  it("reads Conceptual Captions' validation list", async () => {
    const rows = await readAll(file("cc12m/cc3m_Validation_GCC-1.1.0-Validation.tsv"), "caption,url");
    expect(rows).toHaveLength(15833);
    expect(rows.every(({ url, caption }) => /^https?:\/\/./.test(url) && caption !== "")).toBe(true);
    expect((await readAll(file("cc12m/cc3m_val_in_cc12m_order_2000.tsv"))).slice(0, 2000)).toEqual(
      rows.slice(0, 2000),
    );
  });

  it("reads img2dataset's", async () => {
    const rows = await readAll(file("img2dataset/test_files/test_1000.parquet"), "url=URL,caption=TEXT");
    expect(rows).toHaveLength(1000);
    expect(rows[0]).toEqual({
      url: "http://direct.rhapsody.com/imageserver/v2/albums/Alb.131805200/images/170x170.jpg",
      caption: "Classical Masterpieces: Xerses & More, Vol. 8 by Various Artists",
    });
  });
});
