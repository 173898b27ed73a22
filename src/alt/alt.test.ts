import { mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/tiny-captioner.js";
import type { Captioner, CaptionResult, NamedPicture } from "../captioner/captioner.js";
import { findPages } from "./find-pages.js";
import { readHtml } from "./html.js";
import { readMarkdown } from "./markdown.js";
import { isPoorText } from "./poor-text.js";
import { proposeTexts } from "./propose.js";

/** Says of every picture its language and name. */
const captioner = {
  async *captionEach(pictures: NamedPicture[], { lang }: { lang: string }): AsyncGenerator<CaptionResult> {
    for (const { name, ...rest } of pictures) {
      const source = (rest as { source: unknown }).source;
      const what = typeof source === "string" ? basename(source).replace(/\..*/, "") : "data";
      const text = what === "wordless" ? "" : `shows ${what} in ${lang.slice(0, 2)}`;
      yield { image: name, lang, captions: [{ text, score: -1, tokens: [] }] };
    }
  },
} as unknown as Captioner;

/** Pages before and after: «before|after». Everything else has to stay as it is. */
const PLANTED: Readonly<Record<string, string>> = {
  "none.html": '<!doctype html><html lang="en"><p>Nothing <b>here</b>.',
  "missing.html": '<!doctype html>\n<html lang="de">\n<img«| alt="shows cat in de"» src="cat.png">\n',
  "described.html": '<html lang="en"><img src="cat.png" alt="A cat asleep"><img alt=\'A dog\' src=dog.png>',
  "decorative.html":
    '<img src="cat.png" alt=""><img src="cat.png" alt><img src="cat.png" role="presentation"><img src="cat.png" role=none>' +
    '<img src="cat.png" aria-hidden="true"><span aria-hidden=true><a><img src="cat.png"></a></span><img src="cat.png" alt="  ">',
  "poor.html":
    '<html lang=fr><img src="IMG_1234.jpg" «alt="IMG_1234"|alt="shows IMG_1234 in fr"»>' +
    '<IMG «ALT=photo|alt="shows cat in fr"» SRC="cat.png"/><img src="cat.png" «alt=\'cat.png\'|alt="shows cat in fr"» width="3">',
  "nearest-language.html":
    '<html lang="en"><section lang="es"><img«| alt="shows cat in es"» src=cat.png></section><img«| alt="shows cat in en"» src=cat.png>' +
    '<p lang="de-AT"><i><img«| alt="shows dog in de"» src="img/dog.jpg"></i></p>',
  "fragment.htm":
    '<div>\n  <img\n    class="a"\n    «alt="image"|alt="shows cat in en"»\n    src="cat.png"\n  >\n</div>',
  "template-element.html":
    '<template><img«| alt="shows cat in en"» src="cat.png"></template><noscript><img«| alt="shows dog in en"» src="img/dog.jpg"></noscript>',
  "comment.html":
    "<!-- <img src=cat.png> --><script>const a = '<img src=\"cat.png\">'</script><style>/* <img src=cat.png> */</style><textarea><img src=cat.png></textarea>",
  "engine.html": '<img src="{{ page.image }}"><img src="<%= x %>"><img src="cat.png" alt="{{ alt }}">',
  "named.html": '<img src="cat.png" aria-label="A cat"><img src="cat.png" aria-labelledby="t">',
  "button.html":
    '<input«| alt="shows go in en"» type="image" src="go.gif"><input type=text src=cat.png><input type="image" src="go.gif" «alt=""|alt="shows go in en"»>',
  "broken.html":
    '<table><img«| alt="shows cat in en"» src="cat.png"><tr><td><b><p><img«| alt="shows dog in en"» src="img/dog.jpg"></b></td>\n<img src=cat.png alt="x y"',
  "crlf.html": '<html lang="en">\r\n<body>\r\n<img«| alt="shows cat in en"» src="cat.png">\r\n</body>\r\n',
  "mark.html": '\ufeff<html lang="en"><p>ü€😀<img«| alt="shows cat in en"» src="cat.png">',
  "rooted.html":
    '<img«| alt="shows cat in en"» src="/cat.png?v=2#a"><img«| alt="shows logo in en"» src="/logo.png"><img«| alt="shows a b in en"» src="img/a%20b.png">',
  "remote.html":
    '<img src="https://example.org/cat.png"><img src="//example.org/cat.png"><img src="missing.png"><img src="ftp://a/b.png">',
  "lazy.html":
    '<img«| alt="shows cat in en"» data-src="cat.png"><img src="wordless.png"><img«| alt="shows data in en"» src="data:image/gif;base64,R0lGODlh">',
  "plain.md": '# Title\n\nText ![«|shows cat in en»](cat.png) and ![A dog](img/dog.jpg "title").\n',
  "poor.md":
    "![«cat.png|shows cat in en»](cat.png)\n![«IMG\\_1234|shows cat in en»](cat.png)\n![«image|shows dog in en»](img/dog.jpg 'x')",
  "matter.md": "---\ntitle: x\nlang: de-CH # Swiss\n---\n\n![«|shows cat in de»](<cat.png>)\n",
  "toml.md":
    '+++\ntitle = "x"\nlanguage = "es"\n+++\n\n[![«|shows cat in es»](cat.png)](https://example.org)\n',
  "code.md":
    "`![](cat.png)`\n\n```\n![](cat.png)\n```\n\n    ![](cat.png)\n\n<!-- ![](cat.png) -->\n\n\\![](cat.png)\n",
  "references.md":
    "![«|shows cat in en»][c]\n![«photo|shows cat in en][photo»][]\n![«picture|shows dog in en][picture]»\n![A cat][c]\n![none][nothing]\n\n[c]: cat.png\n[photo]: cat.png\n[picture]: img/dog.jpg\n"
      .replace("in en][photo»][]", "in en][photo]»")
      .replace("«photo|", "«photo][]|")
      .replace("«picture|", "«picture]|"),
  "nested.md":
    "> - a\n>   ![«|shows cat in en»](cat.png)\n>\n> | a | b |\n> |---|---|\n> | ![«|shows dog in en»](img/dog.jpg) | ![A \\| cat](cat.png) |\n",
  "html-in.md":
    'Text <img«| alt="shows cat in en"» src="cat.png"> text\n\n<p align="center">\n  <img «alt="screenshot"|alt="shows dog in en"» src="img/dog.jpg">\n  <img src="cat.png" alt="">\n</p>\n\n> <img«| alt="shows cat in en"»\n>   src="cat.png">\n',
  "tabs.markdown":
    "-\t![«|shows cat in en»](cat.png)\r\n\t\r\n\ttext\r\n\r\n![«|shows dog in en»](img/dog.jpg)",
  "mark.md": "\ufeff---\nlang: fr\n---\n![«|shows cat in fr»](cat.png)",
  "text.mdx":
    'import photo from "./img/dog.jpg";\n\n# T {1 + 1}\n\n![«|shows cat in en»](cat.png)\n\n<img«| alt="shows dog in en"» src={photo} />\n<Image src="cat.png" «alt="photo"|alt="shows cat in en"» width={3} />\n',
  "code.mdx":
    // biome-ignore lint/suspicious/noTemplateCurlyInString: that is how MDX writes it
    'export const A = () => <div><img«| alt="shows cat in en"» src="cat.png" /></div>;\n\n{[1].map((n) => <img key={n} src={`${n}.png`} />)}\n\n<Card icon={<img«| alt="shows dog in en"» src={"img/dog.jpg"} />} />\n',
  "left.mdx":
    '<img src="cat.png" {...props} />\n<img src={f()} />\n<img src="cat.png" alt={t("cat")} />\n<img src="cat.png" alt="" />\n<img src="cat.png" alt={""} />\n\n<div aria-hidden="true">![](cat.png)</div>\n\n<b aria-hidden={true}><img src="cat.png" /></b>\n\n{/* <img src="cat.png" /> */}\n',
};

const original = (text: string) => text.replace(/«([^»|]*)\|[^»]*»/g, "$1");
const expected = (text: string) => text.replace(/«[^»|]*\|([^»]*)»/g, "$1");

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
  for (const name of [
    "cat.png",
    "img/dog.jpg",
    "img/a b.png",
    "static/logo.png",
    "go.gif",
    "IMG_1234.jpg",
    "wordless.png",
  ]) {
    await mkdir(dirname(join(folder.path, name)), { recursive: true });
    await writeFile(join(folder.path, name), "");
  }
  await mkdir(join(folder.path, "node_modules"));
  await mkdir(join(folder.path, ".git"));
  for (const hidden of ["node_modules", ".git"])
    await writeFile(join(folder.path, hidden, "a.html"), "<img src=cat.png>");
});
afterAll(() => folder.remove());

const propose = async (options = {}) =>
  proposeTexts(await findPages([folder.path]), captioner, { remote: false, captions: {}, ...options });

describe(`${Object.keys(PLANTED).length} planted pages`, () => {
  it("get a text at exactly the right places, and none when asked again", async () => {
    for (const [name, text] of Object.entries(PLANTED))
      await writeFile(join(folder.path, name), original(text));
    const pages = await propose();
    expect(pages.map(({ file }) => basename(file)).toSorted()).toEqual(Object.keys(PLANTED).toSorted());
    for (const page of pages) {
      const name = basename(page.file);
      expect(page.before, name).toBe(original(PLANTED[name]!));
      expect(page.after, name).toBe(expected(PLANTED[name]!));
      await writeFile(page.file, page.after);
    }
    for (const page of await propose()) {
      expect(page.after, basename(page.file)).toBe(page.before);
      expect(page.findings.filter(({ proposed }) => proposed !== undefined)).toEqual([]);
    }
  });

  it("say what could not be described, and why", async () => {
    await writeFile(join(folder.path, "remote.html"), original(PLANTED["remote.html"]!));
    await writeFile(join(folder.path, "lazy.html"), original(PLANTED["lazy.html"]!));
    const failures = (await propose()).flatMap(({ findings }) =>
      findings.flatMap(({ file, src, error }) => (error ? [[basename(file), src, error.code]] : [])),
    );
    expect(failures).toEqual([
      ["lazy.html", "wordless.png", "unreadable-image"],
      ["remote.html", "https://example.org/cat.png", "fetch-failed"],
      ["remote.html", "//example.org/cat.png", "fetch-failed"],
      ["remote.html", "missing.png", "file-not-found"],
      ["remote.html", "ftp://a/b.png", "unsupported-format"],
    ]);
  });
});

describe("proposeTexts", () => {
  it("takes another language where told, and refuses one that is none", async () => {
    const file = join(folder.path, "language.html");
    await writeFile(file, '<html lang="tlh">\n\n<img src="cat.png">');
    const one = async (options: object) =>
      (
        await proposeTexts(await findPages([file], folder.path), captioner, {
          remote: false,
          captions: {},
          ...options,
        })
      )[0]!;
    expect((await one({})).findings[0]).toMatchObject({
      line: 3,
      lack: "missing",
      error: { code: "unknown-language" },
    });
    expect((await one({ lang: "it" })).findings[0]).toMatchObject({
      lang: "it_IT",
      proposed: "shows cat in it",
    });
    await expect(one({ lang: "klingon" })).resolves.toMatchObject({
      findings: [{ error: { code: "unknown-language" } }],
    });
  });

  it("names pages that cannot be read, and goes on", async () => {
    await writeFile(join(folder.path, "latin1.html"), Buffer.from("<p>\xfc<img src=cat.png>", "latin1"));
    await writeFile(join(folder.path, "broken.mdx"), "<img src={ />");
    const pages = await propose();
    const failed = pages.filter(({ error }) => error).map(({ file, error }) => [basename(file), error!.code]);
    expect(failed).toEqual([
      ["broken.mdx", "unsupported-format"],
      ["latin1.html", "unsupported-format"],
    ]);
  });
});

describe("findPages", () => {
  it("refuses what is not there, and files that are no pages", async () => {
    await expect(findPages([join(folder.path, "nothing")])).rejects.toMatchObject({ code: "file-not-found" });
    await expect(findPages([join(folder.path, "cat.png")])).rejects.toMatchObject({
      code: "unsupported-format",
    });
  });
});

describe("isPoorText", () => {
  it.each([
    ...["image", "Photo", "Bild 2", "foto", "picture of", "Image: 12", "untitled", "an image"],
    ...[
      "IMG_1234",
      "IMG_20230501_120000",
      "DSC00012",
      "DSCN1234",
      "P1010101",
      "PXL_20210101_101010101",
      "IMG-20200101-WA0001",
    ],
    ...[
      "Screenshot 2021-01-01 at 10.00.00",
      "Screenshot 2024-05-06 101112",
      "photo.jpg",
      "assets/cat.png",
      "WhatsApp Image 2020-01-01 at 10.10.10",
    ],
    ...["d41d8cd98f00b204e9800998ecf8427e", "123e4567-e89b-12d3-a456-426614174000"],
  ])("%s: yes", (text) => {
    expect(isPoorText(text)).toBe(true);
  });

  it.each([
    ...[
      "",
      " ",
      "A cat",
      "Photo of a cat",
      "Bild einer Katze",
      "Logo",
      "Paris 2024",
      "A screenshot of the settings",
      "Café",
    ],
    ...[
      "Figure 3: sales by year",
      "The deadbeef",
      "IMG festival stage",
      "P",
      "猫",
      "Fotografía de un gato",
      "README.md explained",
    ],
  ])("%s: no", (text) => {
    expect(isPoorText(text, "x.png")).toBe(false);
  });

  it("knows the name of the file", () => {
    expect(isPoorText("team-photo_2", "a/team-photo_2.jpg?x")).toBe(true);
    expect(isPoorText("team photo 2", "a/team-photo_2.jpg")).toBe(false);
    expect(isPoorText("Cat", "cat.jpg")).toBe(false);
  });
});

describe("texts of any characters", () => {
  const caption = fc
    .string({ unit: "grapheme", minLength: 1, maxLength: 30 })
    .map((text) => text.trim().replace(/\s+/g, " "))
    .filter(Boolean);

  it("come back from HTML as they were", () => {
    fc.assert(
      fc.property(caption, (text) => {
        const page = '<p><img src="a.png"></p>';
        const [{ place }] = readHtml(page).pictures as never as [
          { place: { start: number; end: number; write(t: string): string } },
        ];
        const written = page.slice(0, place.start) + place.write(text) + page.slice(place.end);
        const clean = text.replaceAll("\0", "\ufffd");
        expect(readHtml(written).pictures.map(({ alt }) => alt)).toEqual([clean]);
      }),
    );
  });

  it.each([false, true])("come back from Markdown as they were, MDX: %s", (mdx) => {
    fc.assert(
      fc.property(caption, (text) => {
        const page = "a ![](a.png) b";
        const [{ place }] = readMarkdown(page, { mdx }).pictures as never as [
          { place: { start: number; end: number; write(t: string): string } },
        ];
        const written = page.slice(0, place.start) + place.write(text) + page.slice(place.end);
        const clean = text.replaceAll("\0", "\ufffd");
        expect(readMarkdown(written, { mdx }).pictures.map(({ alt }) => alt)).toEqual([clean]);
      }),
    );
  });
});
