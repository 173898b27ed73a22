import fc from "fast-check";
import { expect, it } from "vitest";
import { altAttribute, formatAll } from "./formats.js";

const caption = (text: string, score = -0.5) => ({ text, score, tokens: [2, 7], attention: [[1]] });
const all = [
  {
    image: 'a "b", c.png',
    captions: { en_XX: [caption("a dog"), caption("two dogs", -1)], de_DE: [caption("ein Hund")] },
  },
  { image: "d.png", captions: { fr_XX: [caption('un "chat" & <moi>')] } },
];

it("writes text for people", () => {
  expect(formatAll(all, "text")).toBe(
    'a "b", c.png\n  en  a dog\n  de  ein Hund\n\nd.png\n  fr  un "chat" & <moi>\n',
  );
});

it("writes images with alternative text for pages", () => {
  expect(formatAll(all, "html").split("\n")).toEqual([
    '<img src="a &quot;b&quot;, c.png" lang="en" alt="a dog">',
    '<img src="a &quot;b&quot;, c.png" lang="de" alt="ein Hund">',
    '<img src="d.png" lang="fr" alt="un &quot;chat&quot; &amp; &lt;moi>">',
  ]);
});

it("writes the API's results as JSON", () => {
  const { results } = JSON.parse(formatAll(all, "json"));
  expect(results).toHaveLength(3);
  expect(results[0]).toEqual({
    image: 'a "b", c.png',
    lang: "en_XX",
    captions: [
      { text: "a dog", score: -0.5, tokens: [2, 7] },
      { text: "two dogs", score: -1, tokens: [2, 7] },
    ],
  });
});

it("writes the command line's CSV", () => {
  expect(formatAll(all, "csv").split("\r\n")).toEqual([
    "image,lang,rank,text,score,error",
    '"a ""b"", c.png",en_XX,1,a dog,-0.5,',
    '"a ""b"", c.png",en_XX,2,two dogs,-1,',
    '"a ""b"", c.png",de_DE,1,ein Hund,-0.5,',
    'd.png,fr_XX,1,"un ""chat"" & <moi>",-0.5,',
    "",
  ]);
});

it("lets no caption out of its attribute", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const [, inside] = /^alt="(.*)"$/s.exec(altAttribute(text))!;
      expect(inside).not.toMatch(/["<]/);
      const back = inside!.replaceAll("&lt;", "<").replaceAll("&quot;", '"').replaceAll("&amp;", "&");
      expect(back).toBe(text);
    }),
  );
});
