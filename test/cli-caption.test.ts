import { once } from "node:events";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { failures, jsonLines, output, run, start } from "./support/command-line.js";
import { temporaryFolder } from "./support/tiny-captioner.js";

/** The bundled model's. */
const trained = ["en_XX", "de_DE", "fr_XX", "es_XX"];
const picture = (n: number) => `scenes/images/00000${n}.png`;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let cwd: string;
/** The scenes' own captions by picture and language. */
let truth: Map<string, Record<string, string[]>>;

beforeAll(async () => {
  folder = await temporaryFolder();
  cwd = folder.path;
  await output(["data", "scenes", "--count", "6", "--seed", "5", "--split", "test", "--out", "scenes"], {
    cwd,
  });
  const lines = jsonLines(await readFile(join(cwd, "scenes/captions.jsonl"), "utf8"));
  truth = new Map(lines.map(({ image, captions }) => [`scenes/${image}`, captions]));
});
afterAll(() => folder.remove());

const captionJson = async (...args: string[]) =>
  jsonLines(await output(["caption", ...args, "--json"], { cwd }));

describe("output", () => {
  it("is a JSON line per picture and language, in input order, with captions that tell what is there", async () => {
    const images = [picture(4), picture(1), picture(6), picture(2), picture(5), picture(3)];
    const lines = await captionJson(...images, "--lang", "de,en_XX", "--batch-size", "2");
    const order = images.flatMap((image) => [
      [image, "de_DE"],
      [image, "en_XX"],
    ]);
    expect(lines.map(({ image, lang }) => [image, lang])).toEqual(order);
    for (const line of lines) {
      expect(Object.keys(line)).toEqual(["image", "lang", "captions"]);
      expect(line.captions).toEqual([
        { text: expect.any(String), score: expect.any(Number), tokens: expect.any(Array) },
      ]);
      const [{ score, tokens }] = line.captions;
      expect(score).toBeLessThan(0);
      expect([tokens[0], tokens.at(-1)]).toEqual([2, 2]);
    }
    const right = lines.filter(
      ({ image, lang, captions }) => truth.get(image)![lang.slice(0, 2)]![0] === captions[0].text,
    );
    expect(right.length).toBeGreaterThanOrEqual(9);
  });

  it("--format jsonl is the same as --json", async () => {
    const args = ["caption", picture(1), "--lang", "fr"];
    const jsonl = await output([...args, "--format", "jsonl"], { cwd });
    expect(jsonl).toBe(await output([...args, "--json"], { cwd }));
  });

  it("is text for people unless told, the note on the bundled model apart", async () => {
    const args = ["caption", picture(2), picture(1), "--lang", "en,es"];
    const lines = await captionJson(...args.slice(1));
    const [a, b, c, d] = lines.map(({ captions }) => captions[0].text);
    const { code, stdout, stderr } = await run(args, { cwd });
    expect(code).toBe(0);
    expect(stdout).toBe(`${picture(2)}\n  en  ${a}\n  es  ${b}\n\n${picture(1)}\n  en  ${c}\n  es  ${d}\n`);
    expect(stderr).toMatch(/^Note: this is the bundled model\./);
    expect(stderr.split("\n").length).toBeLessThanOrEqual(3);
  });

  it("--format csv has a header and a row per caption, fields with commas quoted", async () => {
    const args = ["caption", picture(1), "missing,picture.png", "--num-captions", "2", "--format"];
    const csv = await run([...args, "csv"], { cwd });
    const jsonl = await run([...args, "jsonl"], { cwd });
    expect([csv.code, jsonl.code]).toEqual([1, 1]);
    const [{ captions }] = jsonLines(jsonl.stdout);
    const quoted = (text: string) => (text.includes(",") ? `"${text}"` : text);
    const rows = captions.map(
      ({ text, score }: { text: string; score: number }, i: number) =>
        `${picture(1)},en_XX,${i + 1},${quoted(text)},${score},`,
    );
    const expected = [
      "image,lang,rank,text,score,error",
      ...rows,
      '"missing,picture.png",,,,,file-not-found',
    ];
    expect(csv.stdout).toBe(expected.map((row) => `${row}\r\n`).join(""));
  });

  it("--num-captions gives the best first, --attention a row per token", async () => {
    const [line] = await captionJson(picture(3), "--num-captions", "3", "--attention");
    const scores = line.captions.map(({ score }: { score: number }) => score);
    expect(scores).toHaveLength(3);
    expect(scores).toEqual(scores.toSorted((a: number, b: number) => b - a));
    for (const { tokens, attention } of line.captions) {
      expect(attention).toHaveLength(tokens.length - 1);
      for (const row of attention)
        expect(row.reduce((sum: number, share: number) => sum + share, 0)).toBeCloseTo(1, 3);
    }
  });
});

describe("inputs", () => {
  it("a folder and a pattern stand for the pictures in them, by name", async () => {
    const images = [1, 2, 3, 4, 5, 6].map(picture);
    await mkdir(join(cwd, "scenes/images/.hidden"), { recursive: true });
    await writeFile(join(cwd, "scenes/images/notes.txt"), "no picture");
    const named = ({ image }: { image: string }) => image;
    expect((await captionJson("scenes/images", "--beams", "1")).map(named)).toEqual(images);
    expect((await captionJson("scenes/**/*[135].png", "--beams", "1")).map(named)).toEqual([
      picture(1),
      picture(3),
      picture(5),
    ]);
  });

  it("- is the picture on standard input", async () => {
    const stdin = await readFile(join(cwd, picture(2)));
    const [fromStdin] = jsonLines(await output(["caption", "-", "--json"], { cwd, stdin }));
    const [fromFile] = await captionJson(picture(2));
    expect(fromStdin).toEqual({ ...fromFile, image: "-" });
  });

  it("--lang all stands for the languages of the model", async () => {
    const lines = await captionJson(picture(1), "--lang", "all");
    expect(lines.map(({ lang }) => lang)).toEqual(trained);
    expect(new Set(lines.map(({ captions }) => captions[0].text)).size).toBe(trained.length);
  });

  describe("a URL of this computer", () => {
    let server: Server;
    let url: string;
    let requests = 0;
    beforeAll(async () => {
      const bytes = await readFile(join(cwd, picture(4)));
      server = createServer((_, answer) => {
        requests += 1;
        answer.end(bytes);
      });
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.png`;
    });
    afterAll(() => server.close());

    it("is refused without being asked for", async () => {
      const { code, stdout, stderr } = await run(["caption", url, "--json"], { cwd });
      expect(code).toBe(1);
      expect(jsonLines(stdout)).toMatchObject([{ image: url, error: { code: "address-refused" } }]);
      expect(failures(stderr)).toEqual([expect.stringContaining("--allow-private")]);
      expect(requests).toBe(0);
    });

    it("is read with --allow-private", async () => {
      const [line] = await captionJson(url, "--allow-private");
      const [fromFile] = await captionJson(picture(4));
      expect(line).toEqual({ ...fromFile, image: url });
      expect(requests).toBe(1);
    });
  });
});

describe("pictures that fail", () => {
  const broken = ["damaged.png", "empty.png", "page.jpg", "huge.png", "missing.png"];
  const codes = [
    "unreadable-image",
    "unreadable-image",
    "unreadable-image",
    "image-too-large",
    "file-not-found",
  ];
  const good = ["good.png", "also-good.png"];
  /** In one batch with good ones around them. */
  const batch = [good[0]!, ...broken, good[1]!];

  beforeAll(async () => {
    await copyFile(join(cwd, picture(1)), join(cwd, good[0]!));
    await copyFile(join(cwd, picture(2)), join(cwd, good[1]!));
    const whole = await readFile(join(cwd, picture(3)));
    await writeFile(join(cwd, "damaged.png"), whole.subarray(0, whole.length * 0.6));
    await writeFile(join(cwd, "empty.png"), "");
    await writeFile(join(cwd, "page.jpg"), "<!DOCTYPE html><html><body>404</body></html>");
    await writeFile(join(cwd, "huge.png"), pngClaiming(50_000, 50_000));
  });

  it("have a line of JSON and a line on stderr each; the others are described; exit 1", async () => {
    const { code, stdout, stderr } = await run(["caption", ...batch, "--json"], { cwd });
    expect(code).toBe(1);
    const lines = jsonLines(stdout);
    expect(lines.map(({ image }) => image)).toEqual(batch);
    expect(lines.filter(({ captions }) => captions).map(({ image }) => image)).toEqual(good);
    const errors = lines.filter(({ error }) => error);
    expect(errors.map(({ error }) => error.code)).toEqual(codes);

    const named = failures(stderr);
    expect(named).toHaveLength(broken.length);
    named.forEach((line, i) => {
      expect(line).toContain(broken[i]);
      expect(line).toContain(`(${codes[i]})`);
      expect(line.length).toBeLessThan(300);
    });
    expect(stderr).not.toMatch(/^ +at /m);
  });

  it("are left out of text, which is for the others", async () => {
    const { code, stdout, stderr } = await run(["caption", ...batch], { cwd });
    expect(code).toBe(1);
    expect(stdout.match(/^\S.*$/gm)).toEqual(good);
    expect(failures(stderr)).toHaveLength(broken.length);
  });

  it("take no memory for what they claim to hold", async () => {
    const peak = async (...images: string[]) => {
      const report = join(cwd, "peak");
      const atExit = `import { writeFileSync } from "node:fs";
        process.on("exit", () => writeFileSync(${JSON.stringify(report)}, String(process.resourceUsage().maxRSS)));`;
      const node = ["--import", `data:text/javascript,${encodeURIComponent(atExit)}`];
      await run(["caption", ...images, "--json"], { cwd, node });
      return Number(await readFile(report, "utf8")) / 1024;
    };
    const usual = await peak(...good);
    expect(usual).toBeGreaterThan(50);
    expect(await peak(good[0]!, "huge.png", good[1]!)).toBeLessThan(usual + 100); // MiB; its pixels are 7,153
  });

  it("all failing is no wrong use either", async () => {
    const { code, stdout, stderr } = await run(["caption", "nothing/*.png", "empty-folder", "--json"], {
      cwd,
    });
    expect(code).toBe(1);
    expect(jsonLines(stdout)).toMatchObject([
      { image: "nothing/*.png", error: { code: "file-not-found" } },
      { image: "empty-folder", error: { code: "file-not-found" } },
    ]);
    expect(failures(stderr)).toHaveLength(2);
  });
});

/** A PNG whose header is right and whose pixels are missing. */
function pngClaiming(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(data.length);
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const check = Buffer.alloc(4);
    check.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, check]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8); // 8 bits, RGB
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", Buffer.alloc(64)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

describe("an end before the end", () => {
  /** Work for minutes. */
  const long = Array.from({ length: 400 }, (_, i) => picture((i % 6) + 1));

  it.skipIf(process.platform === "win32").each([
    ["while captions are made", ["caption", ...long, "--lang", "all", "--beams", "64"]],
    ["while standard input is waited for", ["caption", "-"]],
  ])("an interrupt %s ends soon with 130, without a stack trace", async (_, args) => {
    const { child, finished } = start(args, { cwd });
    await once(child.stderr, "data"); // The note: the model is loaded.
    await wait(300);
    const interrupted = performance.now();
    child.kill("SIGINT");
    const { code, stderr } = await finished;
    expect(code).toBe(130);
    expect(performance.now() - interrupted).toBeLessThan(5_000);
    expect(failures(stderr)).toEqual([expect.stringContaining("(cancelled)")]);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  it("output whose reader goes away ends quietly", async () => {
    const { child, finished } = start(["caption", ...long, "--beams", "1", "--batch-size", "1", "--json"], {
      cwd,
    });
    await once(child.stdout, "data");
    child.stdout.destroy();
    const { code, stderr } = await finished;
    expect(code).toBe(0);
    expect(stderr).toMatch(/^Note: [^\n]*\n[^\n]*\n$/);
  });
});
