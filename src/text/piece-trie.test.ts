import fc from "fast-check";
import { expect, test } from "vitest";
import { PieceTrie } from "./piece-trie.js";

function prefixesOf(trie: PieceTrie, text: string): [string, number][] {
  const found: [string, number][] = [];
  let node = PieceTrie.root;
  for (let at = 0; at < text.length; at++) {
    node = trie.child(node, text.charCodeAt(at));
    if (node < 0) break;
    if (trie.value(node) >= 0) found.push([text.slice(0, at + 1), trie.value(node)]);
  }
  return found;
}

const texts = fc.string({ unit: fc.constantFrom("a", "b", "▁", "é", "👍"), minLength: 1, maxLength: 6 });

test("finds exactly the added texts that a text begins with, shortest first", () => {
  fc.assert(
    fc.property(fc.array(texts, { maxLength: 40 }), texts, (added, text) => {
      const trie = new PieceTrie();
      const values = new Map(added.map((entry, index) => [entry, index]));
      for (const [index, entry] of added.entries()) trie.add(entry, index);
      const expected = [...values]
        .filter(([entry]) => text.startsWith(entry))
        .sort(([a], [b]) => a.length - b.length);
      expect(prefixesOf(trie, text)).toEqual(expected);
    }),
  );
});

test("keeps its texts while it grows", () => {
  const trie = new PieceTrie();
  const words = Array.from({ length: 20_000 }, (_, index) => `w${index}`);
  for (const [index, word] of words.entries()) trie.add(word, index);
  for (const [index, word] of words.entries()) expect(prefixesOf(trie, word).at(-1)).toEqual([word, index]);
  expect(prefixesOf(trie, "x")).toEqual([]);
});
