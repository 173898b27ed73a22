import fc from "fast-check";
import { type DefaultTreeAdapterTypes, parseFragment } from "parse5";
import { expect, it } from "vitest";
import { html } from "./html.js";

type Element = DefaultTreeAdapterTypes.Element;

/** As a browser's parser gives text back: it makes one line break of CR and LF, and has no use for NUL. */
const hostileText = fc
  .array(
    fc.oneof(fc.string(), fc.constantFrom("<script>", "</p>", '"', "'", "&lt;", "&", "<!--", "]]>", "=")),
  )
  .map((parts) => parts.join("").replaceAll(/[\r\0]/g, ""));

it("gives any text back as it was, in an element and in an attribute", () => {
  fc.assert(
    fc.property(hostileText, (text) => {
      const { childNodes } = parseFragment(html`<p title="${text}">${text}</p>`.markup);
      expect(childNodes).toHaveLength(1);
      const [element] = childNodes as [Element];
      expect(element.attrs).toEqual([{ name: "title", value: text }]);
      expect(
        element.childNodes.map((node) => (node as DefaultTreeAdapterTypes.TextNode).value).join(""),
      ).toBe(text);
      expect(element.childNodes.length).toBeLessThan(2);
    }),
  );
});

it("puts markup in as it is, joins lists, and leaves out what is not there", () => {
  const items = ["a", "<b>"].map((text) => html`<li>${text}</li>`);
  expect(html`<ul>${items}</ul>${undefined}${null}${false}${0}${""}`.markup).toBe(
    "<ul><li>a</li><li>&lt;b&gt;</li></ul>0",
  );
});
