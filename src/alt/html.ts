import { type DefaultTreeAdapterMap, defaultTreeAdapter, parse } from "parse5";
import type { AltPlace, Page, PagePicture } from "./page-picture.js";

type Element = DefaultTreeAdapterMap["element"];
type Node = DefaultTreeAdapterMap["node"];

/** What elements say of all that is in them. */
interface Surroundings {
  readonly lang: string | undefined;
  readonly hidden: boolean;
}

/** The pictures of HTML: `img` elements, and buttons that are one (`input type="image"`). */
export function readHtml(text: string): Page {
  const document = parse(text, { sourceCodeLocationInfo: true, scriptingEnabled: false });
  const pictures: PagePicture[] = [];
  visit(document, { lang: undefined, hidden: false }, pictures);
  const root = document.childNodes.find((node) => "tagName" in node && node.tagName === "html");
  return { pictures, lang: root && attribute(root as Element, "lang") };
}

function visit(node: Node, around: Surroundings, found: PagePicture[]): void {
  let inside = around;
  if (defaultTreeAdapter.isElementNode(node)) {
    inside = {
      lang: attribute(node, "lang") || around.lang,
      hidden: around.hidden || attribute(node, "aria-hidden") === "true",
    };
    const picture = readElement(node, inside);
    if (picture) found.push(picture);
    if (node.tagName === "template" && "content" in node)
      visit(defaultTreeAdapter.getTemplateContent(node as never), inside, found);
  }
  if ("childNodes" in node) for (const child of node.childNodes) visit(child, inside, found);
}

function readElement(element: Element, { lang, hidden }: Surroundings): PagePicture | undefined {
  const { tagName, sourceCodeLocation: location } = element;
  const isButton = tagName === "input" && attribute(element, "type")?.toLowerCase() === "image";
  if ((tagName !== "img" && !isButton) || !location) return undefined;
  const alt = attribute(element, "alt");
  const role = attribute(element, "role")?.toLowerCase();
  const named = ["aria-label", "aria-labelledby"].some((name) => attribute(element, name)?.trim());
  // A button's text is needed, whatever the page says.
  const decorative =
    !isButton && (hidden || alt?.trim() === "" || role === "presentation" || role === "none");
  return {
    // Named otherwise, it needs no text; a picture that scripts load names its file in another attribute.
    source: named ? undefined : attribute(element, "src")?.trim() || attribute(element, "data-src")?.trim(),
    alt: isButton && alt?.trim() === "" ? undefined : alt,
    decorative,
    lang,
    offset: location.startOffset,
    place: placeOf(location.attrs?.alt, location.startOffset + 1 + tagName.length),
  };
}

function placeOf(alt: { startOffset: number; endOffset: number } | undefined, behindName: number): AltPlace {
  const attribute = (text: string): string => `alt="${escapeAttribute(text)}"`;
  if (alt) return { start: alt.startOffset, end: alt.endOffset, write: attribute };
  return { start: behindName, end: behindName, write: (text) => ` ${attribute(text)}` };
}

/** Text of an attribute in double quotes, in HTML and in JSX. */
export function escapeAttribute(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;");
}

function attribute({ attrs }: Element, name: string): string | undefined {
  return attrs.find((one) => one.name === name)?.value;
}
