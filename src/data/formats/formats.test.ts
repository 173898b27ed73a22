/** Every format through `openDataset`: what is read, and what is refused with which place. */
import { execFileSync } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { pack } from "tar-stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LingolensError } from "../../errors.js";
import { captionsIn, type DatasetEntry, type DatasetOptions, openDataset, pictureOf } from "../dataset.js";
import { groupOnDisk } from "./group-rows.js";
import { tarMembers } from "./tar-members.js";
import { tsvRows } from "./tsv.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-formats-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function read(path: string, options?: DatasetOptions): Promise<DatasetEntry[]> {
  const dataset = await openDataset(path, options);
  const entries: DatasetEntry[] = [];
  for await (const entry of dataset.entries()) entries.push(entry);
  // The blocks hold the same, and can be read again.
  const again: DatasetEntry[] = [];
  for await (const block of dataset.blocks()) for await (const entry of block.entries()) again.push(entry);
  expect(again).toEqual(entries);
  return entries;
}

const refusal = (words: string | RegExp) =>
  expect.objectContaining({ code: "dataset-invalid", message: expect.stringMatching(words) });

async function file(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, content);
  return path;
}

type Members = readonly (readonly [name: string, content: string | Uint8Array])[];

async function shard(name: string, members: Members): Promise<string> {
  const path = join(folder, name);
  const archive = pack();
  const written = pipeline(archive, createWriteStream(path));
  for (const [member, content] of members) archive.entry({ name: member }, Buffer.from(content));
  archive.finalize();
  await written;
  return path;
}

const sample = (key: string, captions: unknown, picture = `bytes of ${key}`): Members => [
  [`${key}.jpg`, picture],
  [`${key}.json`, JSON.stringify({ captions, url: `http://x/${key}` })],
];

describe("shards", () => {
  it("of a folder and a pattern are read in order of their names, pictures by their bytes", async () => {
    await shard("00001.tar", sample("a/000002", { en: ["two", "zwei"] }));
    await shard("00000.tar", [
      ...sample("000000", { en: "zero", de_DE: "null" }),
      ["000001.webp", "w"],
      ["000001.txt", "one\n"],
    ]);
    const entries = await read(folder);
    expect(entries.map(({ image, captions, fields }) => ({ image, captions, fields }))).toEqual([
      {
        image: "000000.jpg",
        captions: { en: ["zero"], de_DE: ["null"] },
        fields: { url: "http://x/000000" },
      },
      { image: "000001.webp", captions: { en: ["one"] }, fields: {} },
      { image: "a/000002.jpg", captions: { en: ["two", "zwei"] }, fields: { url: "http://x/a/000002" } },
    ]);
    const bytes = await Promise.all(entries.map(async (entry) => `${await pictureOf(entry)}`));
    expect(bytes).toEqual(["bytes of 000000", "w", "bytes of a/000002"]);
    expect(await read(join(folder, "0000?.tar"))).toEqual(entries);
    expect(await read(join(folder, "00001.tar"))).toEqual(entries.slice(2));
  });

  it("written by img2dataset name their caption in .txt, or as caption, in the language given", async () => {
    const json = JSON.stringify({ caption: "un chat", key: "0" });
    await shard("0.tar", [
      ["0.jpg", "p"],
      ["0.json", json],
      ["1.jpg", "p"],
      ["1.json", json],
      ["1.txt", "un chien"],
    ]);
    const entries = await read(folder, { language: "fr" });
    expect(entries.map(({ captions }) => captions)).toEqual([{ fr: ["un chat"] }, { fr: ["un chien"] }]);
    expect(entries[0]!.fields).toEqual({ key: "0" });
  });

  it.each([
    ["without a picture", [["0.json", '{"captions":{"en":"a"}}']], /0\.tar, sample "0": expected a picture/],
    ["without a caption", [["0.jpg", "p"]], /sample "0".*language "en"/],
    ["with a blank caption", sample("0", { en: " " }), /sample "0".*language "en"/],
    [
      "with a list for JSON",
      [
        ["0.jpg", "p"],
        ["0.json", "[]"],
      ],
      /sample "0": expected a JSON object, got a list/,
    ],
    [
      "with damaged JSON",
      [
        ["0.jpg", "p"],
        ["0.json", "{"],
      ],
      /sample "0": expected a JSON object/,
    ],
    [
      "with a file twice",
      [
        ["0.jpg", "p"],
        ["0.jpg", "q"],
      ],
      /sample "0": expected one file that ends in \.jpg, got two/,
    ],
    [
      "with bytes for text",
      [
        ["0.jpg", "p"],
        ["0.txt", new Uint8Array([255])],
      ],
      /sample "0": expected UTF-8/,
    ],
  ] as [string, Members, RegExp][])("refuse a sample %s", async (_, members, words) => {
    await shard("0.tar", members);
    await expect(read(folder)).rejects.toEqual(refusal(words));
  });

  it("cut short anywhere fail with the place, and never lose a sample unnoticed", async () => {
    const path = await shard("0.tar", [...sample("0", { en: "a" }), ...sample("1", { en: "b" })]);
    const whole = await readFile(path);
    for (let length = 0; length < whole.length - 512; length += 256) {
      await writeFile(path, whole.subarray(0, length));
      await expect(read(path), `${length} bytes`).rejects.toEqual(refusal(/0\.tar, byte \d+: expected/));
    }
  });

  it("of any bytes are read or refused with a typed error", async () => {
    const path = await shard("0.tar", [...sample("0", { en: "a" }), [`${"x".repeat(150)}.jpg`, "p"]]);
    const whole = await readFile(path);
    const damage = fc.record({ at: fc.nat(whole.length - 1), to: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 6 }), async (damages) => {
        const bytes = Buffer.from(whole);
        for (const { at, to } of damages) bytes[at] = to;
        await writeFile(path, bytes);
        await read(path).catch((error) => {
          expect(error).toBeInstanceOf(LingolensError);
          expect(error.code).toBe("dataset-invalid");
        });
      }),
      { numRuns: 200 },
    );
  });

  it("that shrink later give a typed error for the picture", async () => {
    const path = await shard("0.tar", sample("0", { en: "a" }, "p".repeat(2000)));
    const [entry] = await read(path);
    const opened = await open(path, "r+");
    await opened.truncate(1000);
    await opened.close();
    await expect(pictureOf(entry!)).rejects.toMatchObject({
      code: "unreadable-image",
      message: expect.stringContaining("0.tar, 0.jpg"),
    });
  });
});

const python = (() => {
  try {
    return execFileSync("python3", ["-c", "import tarfile"]) && true;
  } catch {
    return false;
  }
})();

describe("tarMembers", () => {
  it("lists what tar-stream wrote: long names, a folder in front, empty files, other kinds left out", async () => {
    const path = join(folder, "0.tar");
    const archive = pack();
    const written = pipeline(archive, createWriteStream(path));
    archive.entry({ name: "folder", type: "directory" });
    archive.entry({ name: "link", type: "symlink", linkname: "folder" });
    const names = ["a.jpg", `${"deep/".repeat(30)}b.jpg`, `${"é".repeat(200)}.jpg`, "empty.txt"];
    for (const [i, name] of names.entries())
      archive.entry({ name }, Buffer.alloc(i * 700, 1).subarray(0, name === "empty.txt" ? 0 : undefined));
    archive.entry({ name: "dated.jpg", pax: { mtime: "1.5", comment: "size=7" } }, "dated");
    archive.finalize();
    await written;
    const found: [string, number][] = [];
    const bytes = await readFile(path);
    let last = "";
    for await (const { name, start, length } of tarMembers(path)) {
      found.push([name, length]);
      last = bytes.toString("latin1", start, start + length);
    }
    expect(found).toEqual([
      ["a.jpg", 0],
      [names[1], 700],
      [names[2], 1400],
      ["empty.txt", 0],
      ["dated.jpg", 5],
    ]);
    expect(last).toBe("dated");
  });

  it.skipIf(!python).each(["USTAR_FORMAT", "GNU_FORMAT", "PAX_FORMAT"])(
    "lists what Python's tarfile wrote in %s",
    async (format) => {
      const path = join(folder, "python.tar");
      const program = `
import tarfile, io, sys
with tarfile.open(sys.argv[1], "w", format=tarfile.${format}) as tar:
    for i, name in enumerate(["0.jpg", "d/" * 40 + "1.jpg", "${"n".repeat(95)}.json"]):
        info = tarfile.TarInfo(name); info.size = i * 600; info.mtime = 1.25 + i
        tar.addfile(info, io.BytesIO(bytes([i]) * info.size))
`;
      execFileSync("python3", ["-c", program, path]);
      const bytes = await readFile(path);
      const found: [string, number][] = [];
      let i = 0;
      for await (const { name, start, length } of tarMembers(path)) {
        found.push([name, length]);
        expect(bytes.subarray(start, start + length).every((byte) => byte === i)).toBe(true);
        i += 1;
      }
      expect(found).toEqual([
        ["0.jpg", 0],
        [`${"d/".repeat(40)}1.jpg`, 600],
        [`${"n".repeat(95)}.json`, 1200],
      ]);
    },
  );

  it("does not believe a size beyond the file's end", async () => {
    const path = await shard("0.tar", [["0.jpg", "p"]]);
    const bytes = await readFile(path);
    bytes.write("77777777777", 124);
    bytes.fill(" ", 148, 156);
    bytes.write(
      `${bytes
        .subarray(0, 512)
        .reduce((a, b) => a + b)
        .toString(8)
        .padStart(6, "0")}\0 `,
      148,
    );
    await writeFile(path, bytes);
    await expect(tarMembers(path).next()).rejects.toEqual(
      refusal(/byte 0: expected a member of 8589934591 bytes/),
    );
  });
});

describe("the original's TSV", () => {
  const header = "image_file\tcaption\turl\tlang_id\n";
  const rows = [
    "b.jpg\ta dog\thttp://b\ten",
    'a.jpg\t"He said ""5"" tall\nover two lines"\thttp://a\ten',
    'b.jpg\tun chien de 5" de haut\thttp://b\tfr_XX',
    "a.jpg\t\thttp://a\tfr_XX",
    "b.jpg\tein Hund\thttp://b\tde_DE",
    "b.jpg\tdogs\thttp://b\ten",
  ].join("\n");

  it("joins the rows of a picture, wherever they are, in the order of its first row", async () => {
    const path = await file("train.tsv", `${header}${rows}\r\n`);
    const expected = [
      {
        image: "b.jpg",
        imagePath: join(folder, "photos", "b.jpg"),
        captions: { en: ["a dog", "dogs"], fr_XX: ['un chien de 5" de haut'], de_DE: ["ein Hund"] },
        fields: {},
      },
      {
        image: "a.jpg",
        imagePath: join(folder, "photos", "a.jpg"),
        captions: { en: ['He said "5" tall\nover two lines'] },
        fields: {},
      },
    ];
    expect(await read(path, { images: join(folder, "photos") })).toEqual(expected);
    await writeFile(path, rows);
    expect(await read(path, { images: join(folder, "photos") })).toEqual(expected);
  });

  it.each([
    ["a row of three columns", `${header}a.jpg\ta\ten\n`, /line 2: expected 4 columns/],
    ["a header without languages", "image_file\tcaption\n", /line 1: expected a column lang_id/],
    ["a picture outside the folder", `${header}../a.jpg\ta\tu\ten\n`, /line 2: expected "image"/],
    ["an open quotation mark", `${header}a.jpg\t"a\tu\ten\nb.jpg\tb\tu\ten\n`, /line 2: .*to be closed/],
    ["a row without a language", `${header}a.jpg\ta\tu\t\n`, /line 2: expected image_file and lang_id/],
  ])("refuses %s", async (_, content, words) => {
    await expect(read(await file("a.tsv", content))).rejects.toEqual(refusal(words));
  });

  it("grouped on disk is what it is grouped in memory", async () => {
    const many = Array.from({ length: 3000 }, (_, i) => {
      const language = ["en", "de", "__proto__"][i % 3];
      return `${(i * 7919) % 1000}.jpg\tcaption ${i} "é"\tu\t${language}`;
    });
    const path = await file("many.tsv", header + many.join("\n"));
    const list = join(folder, "captions.jsonl");
    // A size that asks for several parts.
    await groupOnDisk(tsvRows(path), 5 * 32 * 2 ** 20, list);
    expect(await read(list)).toEqual(await read(path));
    expect((await read(path)).length).toBe(1000);
  });
});

describe("COCO", () => {
  const images = [
    { id: 7, file_name: "7.jpg", width: 3 },
    { id: 8, file_name: "8.jpg" },
    { id: 9, file_name: "9.jpg" },
  ];
  const annotations = [
    { id: 1, image_id: 9, caption: "nine" },
    { id: 2, image_id: 7, caption: "seven" },
    { id: 3, image_id: 9, caption: "neun" },
  ];

  it("gives pictures in order with all their captions, and not those without", async () => {
    const path = await file("captions.json", JSON.stringify({ info: {}, images, annotations }));
    await mkdir(join(folder, "images"));
    expect(await read(path, { language: "de" })).toEqual([
      {
        image: "7.jpg",
        imagePath: join(folder, "images", "7.jpg"),
        captions: { de: ["seven"] },
        fields: { id: 7, width: 3 },
      },
      {
        image: "9.jpg",
        imagePath: join(folder, "images", "9.jpg"),
        captions: { de: ["nine", "neun"] },
        fields: { id: 9 },
      },
    ]);
  });

  it.each([
    ["no JSON", "{", /captions\.json: expected COCO's captions as JSON/],
    ["results without pictures", '[{"image_id":1,"caption":"a"}]', /captions\.json, top: expected COCO's/],
    ["a blank caption", { images, annotations: [{ image_id: 7, caption: " " }] }, /annotations\.0\.caption/],
    [
      "an unknown picture",
      { images, annotations: [{ image_id: 1, caption: "a" }] },
      /annotations\.0: .*got 1/,
    ],
    ["a path upwards", { images: [{ id: 7, file_name: "../7.jpg" }], annotations }, /annotations|images\.0/],
    ["no caption", { images, annotations: [] }, /an empty file/],
  ])("refuses %s", async (_, content, words) => {
    const path = await file("captions.json", typeof content === "string" ? content : JSON.stringify(content));
    await expect(read(path)).rejects.toEqual(refusal(words));
  });
});

describe("Crossmodal-3600", () => {
  it("names a picture by its key and lists captions by language, those that mBART lacks too", async () => {
    const line = {
      "image/key": "0000d67245642c5f",
      "image/locale": "sw",
      en: { caption: ["a", "b"], "caption/tokenized": ["a", "b"] },
      fil: { caption: ["isa"], "caption/tokenized": ["isa"] },
      quz: { caption: ["huk"] },
    };
    const path = await file("captions.jsonl", JSON.stringify(line));
    const [entry] = await read(path, { images: join(folder, "pictures") });
    expect(entry).toEqual({
      image: "0000d67245642c5f.jpg",
      imagePath: join(folder, "pictures", "0000d67245642c5f.jpg"),
      captions: { en: ["a", "b"], fil: ["isa"], quz: ["huk"] },
      fields: { locale: "sw" },
    });
    expect(captionsIn(entry!, "en_XX")).toEqual(["a", "b"]);
    expect(captionsIn(entry!, "de_DE")).toEqual([]);
    expect(await read(folder)).toHaveLength(1);
  });
});

describe("Multi30k", () => {
  beforeEach(async () => {
    await file("image_splits/train.txt", "1.jpg\n2.jpg\n");
    await file("image_splits/val.txt", "COCO_val2014_000000398076.jpg#657409\n");
    await file("image_splits/unused.txt", "9.jpg\n");
    await file("raw/train.en.gz", gzipSync("one\ntwo\n"));
    await file("raw/train.de", "eins\r\nzwei\r\n");
    await file("raw/val.1.en", "a\n");
    await file("raw/val.2.en", "b\n");
  });

  it("gives the pictures of a split, or of all that have texts", async () => {
    expect(await read(folder, { split: "train" })).toEqual([
      {
        image: "1.jpg",
        imagePath: join(folder, "images", "1.jpg"),
        captions: { de: ["eins"], en: ["one"] },
        fields: { split: "train" },
      },
      {
        image: "2.jpg",
        imagePath: join(folder, "images", "2.jpg"),
        captions: { de: ["zwei"], en: ["two"] },
        fields: { split: "train" },
      },
    ]);
    const all = await read(folder);
    expect(all.map(({ image }) => image)).toEqual(["1.jpg", "2.jpg", "COCO_val2014_000000398076.jpg"]);
    expect(all[2]!.captions).toEqual({ en: ["a", "b"] });
  });

  it("refuses texts that do not belong to the list, empty lines and unknown splits", async () => {
    await expect(read(folder, { split: "test" })).rejects.toEqual(
      refusal(/splits train, unused, val, got "test"/),
    );
    await file("raw/train.de", "eins\n\n");
    await expect(read(folder, { split: "train" })).rejects.toEqual(
      refusal(/train\.de, line 2: expected a caption/),
    );
    await file("raw/train.de", "eins\n");
    await expect(read(folder, { split: "train" })).rejects.toEqual(
      refusal(/train\.de: expected 2 lines.*got 1/),
    );
    await file("raw/train.en.gz", "no gzip");
    await expect(read(folder, { split: "train" })).rejects.toEqual(refusal(/train\.(de|en\.gz)/));
    await expect(read(folder, { split: "unused" })).rejects.toMatchObject({ code: "file-not-found" });
  });
});

describe("splits", () => {
  it("are taken from the field split, and one that is not there is refused with those that are", async () => {
    const line = (image: string, split?: string) => JSON.stringify({ image, captions: { en: "a" }, split });
    const path = await file("list.jsonl", [line("1", "train"), line("2"), line("3", "val")].join("\n"));
    expect((await read(path, { split: "val" })).map(({ image }) => image)).toEqual(["3"]);
    await expect(read(path, { split: "test" })).rejects.toEqual(
      refusal(/expected pictures with the split "test", got "train", "val"/),
    );
  });
});

describe("openDataset", () => {
  it("refuses what is no dataset, and says what would be one", async () => {
    await expect(openDataset(folder)).rejects.toMatchObject({ code: "file-not-found" });
    await expect(openDataset(join(folder, "*.tar"))).rejects.toMatchObject({ code: "file-not-found" });
    await expect(openDataset(await file("captions.csv", "a"))).rejects.toEqual(refusal(/\.jsonl, \.tar/));
    await expect(openDataset(join(folder, "c*.csv"))).rejects.toEqual(refusal(/pattern of shards/));
  });
});

const shared = process.env.LINGOLENS_SHARED;

describe.skipIf(!shared)("real files", () => {
  const fixtures = join(shared ?? "", "fixtures");

  it("Flickr8k joined with Multi30k: every split, all captions, the photos", async () => {
    const path = join(fixtures, "photos/flickr8k-1000/multilingual.jsonl");
    const sizes = { train: 872, val: 34, test_2016_flickr: 31 };
    for (const [split, size] of Object.entries(sizes)) {
      const entries = await read(path, { split });
      expect(entries).toHaveLength(size);
      for (const entry of entries)
        for (const language of ["en", "de", "fr", "es"])
          expect(captionsIn(entry, language).length).toBeGreaterThan(0);
    }
    const all = await read(path);
    expect(all).toHaveLength(1000);
    expect((await readFile(all[0]!.imagePath)).subarray(0, 2)).toEqual(Buffer.from([0xff, 0xd8]));
  });

  it("COCO's captions of a thousand pictures in English and French", async () => {
    for (const language of ["en", "fr"]) {
      const path = join(fixtures, `eval/coco-caption/${language}_captions_val2014.json`);
      const entries = await read(path, { language });
      expect(entries).toHaveLength(1000);
      expect(entries.every(({ captions }) => captions[language]!.length >= 5)).toBe(true);
    }
  });

  it("Multi30k: every split in three languages", async () => {
    const entries = await read(join(fixtures, "multilingual/multi30k"));
    expect(entries.filter(({ fields }) => fields.split === "train")).toHaveLength(29_000);
    expect(entries.at(-1)!.captions).toEqual({
      de: [expect.any(String)],
      en: [expect.any(String)],
      fr: [expect.any(String)],
    });
  });
});
