import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DefaultTreeAdapterTypes, parse } from "parse5";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PictureLines } from "./describe-pictures.js";
import type { EvaluatedPicture } from "./evaluated-pictures.js";
import { evaluationPage } from "./report-page.js";
import { reportOf } from "./run-report.js";

type Element = DefaultTreeAdapterTypes.Element;

const HOSTILE = [
  "</script><script>alert(1)</script>",
  '"><img src=x onerror=alert(2)>',
  "' onmouseover='alert(3)",
  "</svg></style><iframe src=https://example.org></iframe>",
  "&lt;b&gt; \u202e reversed",
];

let folder: string;
let pictures: EvaluatedPicture[];
const lines: PictureLines[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lingolens-test-"));
  await sharp({ create: { width: 400, height: 200, channels: 3, background: "red" } })
    .png()
    .toFile(join(folder, "red.png"));
  await writeFile(join(folder, "broken.png"), "no picture");
  pictures = HOSTILE.map((text, i) => {
    const image = i === 0 ? "broken.png" : `${text}.png`;
    const imagePath = join(folder, i === 0 ? "broken.png" : "red.png");
    lines.push([
      { image, lang: "en", caption: text, references: [text, "a cube"], score: -0.1, nll: 1, tokens: 3 },
      { image, lang: "ar", caption: "", references: [text], score: -2, nll: 1, tokens: 3 },
    ]);
    return { image, references: new Map(), entry: { image, imagePath, captions: {}, fields: {} } };
  });
  const image = HOSTILE[0]!;
  lines.push([{ image, error: { code: "unreadable-image", message: image } }]);
  pictures.push({ ...pictures[0]!, image });
});
afterAll(() => rm(folder, { recursive: true }));

async function page(like?: "original") {
  const report = await reportOf(lines, ["en", "ar"], like);
  const text = await evaluationPage({
    report,
    pictures,
    lines,
    model: HOSTILE[0]!,
    data: HOSTILE[1]!,
    facts: { beams: 4, note: HOSTILE[2]! },
    ignoreExif: false,
  });
  const elements: Element[] = [];
  const visit = (node: DefaultTreeAdapterTypes.ParentNode) => {
    for (const child of node.childNodes) {
      if (!("tagName" in child)) continue;
      elements.push(child);
      visit(child);
    }
  };
  visit(parse(text));
  return { text, elements, of: (tag: string) => elements.filter(({ tagName }) => tagName === tag) };
}

const attribute = (element: Element, name: string) => element.attrs.find((one) => one.name === name)?.value;

function textOf(node: DefaultTreeAdapterTypes.ChildNode): string {
  if ("value" in node) return node.value;
  return "childNodes" in node ? node.childNodes.map(textOf).join("") : "";
}

describe("an evaluation's page", () => {
  it("shows hostile text as text, and refers to nothing outside", async () => {
    const { elements, of, text } = await page();
    expect(of("script")).toHaveLength(1);
    expect(of("iframe")).toHaveLength(0);
    const attributes = elements.flatMap(({ attrs }) => attrs);
    expect(attributes.filter(({ name }) => name.startsWith("on") || name === "style")).toEqual([]);
    const references = attributes.filter(({ name }) => ["src", "href", "action", "srcset"].includes(name));
    expect(
      references.filter(({ value }) => !/^(#[a-z]+|data:image\/webp;base64,[A-Za-z0-9+/=]+)$/.test(value)),
    ).toEqual([]);
    const said = of("span")
      .filter((element) => attribute(element, "lang") === "en")
      .map(textOf);
    for (const hostile of HOSTILE) expect(said).toContain(hostile);
    expect(text).toContain("Evaluation of &lt;/script&gt;");
  });

  it("tells screen readers the language of each caption and what charts show", async () => {
    const { of } = await page();
    for (const span of of("span").filter((element) => attribute(element, "lang")))
      expect(attribute(span, "dir")).toBe("auto");
    expect(of("svg").length).toBe(10);
    for (const svg of of("svg")) {
      expect(attribute(svg, "role")).toBe("img");
      expect(attribute(svg, "aria-label")).toMatch(/\d/);
    }
    expect(of("em").map(textOf)).toEqual(new Array(5).fill("nothing"));
  });

  it("shows pictures small, and says where one can no longer be read and which had failed", async () => {
    const { of } = await page();
    expect(of("img")).toHaveLength(4);
    const bytes = Buffer.from(attribute(of("img")[0]!, "src")!.split(",")[1]!, "base64");
    expect(await sharp(bytes).metadata()).toMatchObject({ format: "webp", width: 224, height: 112 });
    expect(of("article")).toHaveLength(5);
    expect(of("article").map(textOf).join()).toContain("can no longer be read");
    expect(textOf(of("details")[0]!)).toContain(`1 picture could not be read`);
    expect(textOf(of("details")[0]!)).toContain(HOSTILE[0]);
  });

  it("has a row a language, with intervals; the card's values where asked for", async () => {
    const plain = await page();
    const rows = plain.of("tr").map(textOf);
    expect(rows.filter((row) => row.startsWith("English"))).toHaveLength(2);
    expect(rows.filter((row) => row.startsWith("Arabic"))).toHaveLength(2);
    expect(rows.find((row) => row.startsWith("English"))).toMatch(/100\.0\d+\.\d to \d+\.\d/);
    expect(plain.text).not.toContain("published");
    const like = await page("original");
    expect(
      like
        .of("tr")
        .map(textOf)
        .filter((row) => row.startsWith("English"))[2],
    ).toContain("published 0.04899");
    expect(like.text).toContain("published about 2.6");
    expect(
      like
        .of("svg")
        .map((svg) => attribute(svg, "aria-label"))
        .join(),
    ).toContain("published 0.0490");
  });
});
