import fc from "fast-check";
import { expect, it } from "vitest";
import { ORIGINAL, parseReference } from "./reference.js";

it.each([
  ["owner/name", { name: "owner/name", revision: "main" }],
  ["Owner_1/na-me.v2@v1.0", { name: "Owner_1/na-me.v2", revision: "v1.0" }],
  ["a/b@refs/pr/3", { name: "a/b", revision: "refs/pr/3" }],
  [`a/b@${"0".repeat(40)}`, { name: "a/b", revision: "0".repeat(40) }],
  ["original", { name: ORIGINAL, revision: "main" }],
])("reads %s", (text, expected) => {
  expect(parseReference(text)).toEqual(expected);
});

it.each([
  "",
  "name",
  "a/b/c",
  "/b",
  "a/",
  "../b",
  "a/..",
  "a/b..c",
  "a--b/c",
  "a/b.git",
  "-a/b",
  "a/b@",
  "a/b@..",
  "a/b@x/../y",
  "a/b@x@y",
  "a/b c",
  "a/bé",
  "a\\b/c",
  "https://huggingface.co/a/b",
  `a/${"b".repeat(97)}`,
])("refuses %j", (text) => {
  expect(parseReference(text)).toBeUndefined();
});

it("gives nothing that leads out of a folder", () => {
  const pieces = fc.constantFrom("a", "b", ".", "..", "/", "\\", "@", "-", "~", "\0", "C:");
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
      const reference = parseReference(parts.join(""));
      if (!reference) return;
      expect(reference.name).toMatch(/^[\w.-]+\/[\w.-]+$/);
      for (const part of [...reference.name.split("/"), ...reference.revision.split("/")]) {
        expect(part).not.toBe("");
        expect(part).not.toMatch(/^\.{1,2}$|[\\:\0]/);
      }
    }),
  );
});
