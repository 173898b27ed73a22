import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HttpError } from "./http-error.js";
import { type FormPart, parseForm } from "./multipart.js";

const told = (parts: readonly FormPart[]) =>
  parts.map(({ name, filename, bytes }) => [name, filename, bytes.toString("latin1")]);
const simple = (body: string, type = "multipart/form-data; boundary=b") =>
  told(parseForm(type, Buffer.from(body, "latin1")));
const part = (disposition: string, body = "x") =>
  `--b\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${body}\r\n--b--`;

describe("parseForm", () => {
  it("reads what fetch writes, whatever is in it", async () => {
    const text = fc.string({ unit: "grapheme", maxLength: 20 });
    const entry = fc.record({
      name: text,
      filename: fc.option(text),
      bytes: fc.uint8Array({ maxLength: 200 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 8 }), async (entries) => {
        const form = new FormData();
        for (const { name, filename, bytes } of entries)
          if (filename === null) form.append(name, Buffer.from(bytes).toString("latin1"));
          else form.append(name, new Blob([new Uint8Array(bytes)]), filename);
        const request = new Response(form);
        const body = Buffer.from(await request.arrayBuffer());
        const parts = parseForm(request.headers.get("content-type")!, body);
        // What a form does to line ends in names and texts is not the parser's.
        expect(parts).toHaveLength(entries.length);
        parts.forEach(({ filename, bytes }, i) => {
          expect(filename === undefined).toBe(entries[i]!.filename === null);
          if (filename !== undefined) expect([...bytes]).toEqual([...entries[i]!.bytes]);
        });
      }),
    );
  });

  it.each([
    ['name="image"; filename="a b.png"', ["image", "a b.png", "x"]],
    ['name="image"; filename="..\\\\..\\\\a.png"', ["image", "a.png", "x"]],
    ['name="image"; filename="/etc/passwd"', ["image", "passwd", "x"]],
    ['name="image"; filename="a\\"b.png"', ["image", 'a"b.png', "x"]],
    ['name="image"; filename="a%22b.png"', ["image", 'a"b.png', "x"]],
    ["filename=a.png; name=image", ["image", "a.png", "x"]],
    ['name="lang"', ["lang", undefined, "x"]],
    ['name=""; filename=""', ["", "", "x"]],
  ])("%s", (disposition, expected) => {
    expect(simple(part(disposition))).toEqual([expected]);
  });

  it("takes quoted boundaries, a preamble, spaces behind a boundary, and content that looks like one", () => {
    const body = `hello\r\n--b \t\r\nx: y\r\ncontent-disposition: form-data; name="a"\r\n\r\nx\n--b\r\n-b\r\n--b--\r\nbye`;
    expect(simple(body, 'multipart/form-data; charset=utf-8; boundary="b"')).toEqual([
      ["a", undefined, "x\n--b\r\n-b"],
    ]);
  });

  it("takes a line end before the first boundary", () => {
    expect(simple(`\r\n${part('name="a"')}`)).toEqual([["a", undefined, "x"]]);
  });

  it("refuses what is malformed, and ends", () => {
    const whole = Buffer.from(
      `--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n${part('name="c"', "22")}`,
    );
    expect(parseForm("multipart/form-data; boundary=b", whole)).toHaveLength(2);
    for (let length = 0; length < whole.length - 2; length++)
      expect(() => parseForm("multipart/form-data; boundary=b", whole.subarray(0, length))).toThrow(
        HttpError,
      );
    for (const body of ["--b\r\n\r\nx\r\n--b--", "--bb\r\n\r\nx\r\n--b--", part("nome=a"), part('name="a')])
      expect(() => simple(body)).toThrow(HttpError);
    expect(() => simple(part('name="a"'), "multipart/form-data")).toThrow(/boundary/);
    const many = `--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n`.repeat(300);
    expect(() => simple(`${many}--b--`)).toThrow(/parts/);
  });
});
