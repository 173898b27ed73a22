import type { Definition, Html, Image, ImageReference, Nodes, Parents, Root } from "mdast";
import { fromMarkdown, type Options } from "mdast-util-from-markdown";
import { frontmatterFromMarkdown } from "mdast-util-frontmatter";
import { gfmFromMarkdown } from "mdast-util-gfm";
import { mdxFromMarkdown } from "mdast-util-mdx";
import { frontmatter } from "micromark-extension-frontmatter";
import { gfm } from "micromark-extension-gfm";
import { mdxjs } from "micromark-extension-mdxjs";
import { visitParents } from "unist-util-visit-parents";
import { LingolensError } from "../errors.js";
import { readHtml } from "./html.js";
import { importsOf, type JsxImports, jsxOf, jsxPictures } from "./jsx.js";
import type { AltPlace, Page, PagePicture } from "./page-picture.js";

const MATTER = ["yaml", "toml"] as const;

/**
 * The pictures of Markdown (CommonMark with GitHub's tables) and of MDX: `![…](…)` in its forms, and elements of HTML
 * or JSX.
 * @throws {LingolensError} `unsupported-format` where MDX cannot be parsed
 */
export function readMarkdown(text: string, { mdx }: { readonly mdx: boolean }): Page {
  const tree = parse(text, mdx);
  const definitions = definitionsOf(tree);
  const imports = mdx ? importsOf(tree) : new Map<string, string>();
  const pictures: PagePicture[] = [];
  visitParents(tree, (node, parents) => {
    pictures.push(...picturesOf(node, parents, text, { mdx, definitions, imports }));
  });
  return { pictures: pictures.sort((a, b) => a.offset - b.offset), lang: languageOf(tree) };
}

interface Context {
  readonly mdx: boolean;
  /** URLs by identifier. */
  readonly definitions: ReadonlyMap<string, string>;
  readonly imports: JsxImports;
}

function parse(text: string, mdx: boolean): Root {
  const options: Options = {
    extensions: [gfm(), frontmatter([...MATTER]), ...(mdx ? [mdxjs()] : [])],
    mdastExtensions: [
      gfmFromMarkdown(),
      frontmatterFromMarkdown([...MATTER]),
      ...(mdx ? [mdxFromMarkdown()] : []),
    ],
  };
  try {
    return fromMarkdown(text, options);
  } catch (error) {
    const { message, line } = error as { message: string; line?: number };
    throw new LingolensError(
      "unsupported-format",
      `It is not valid MDX${line === undefined ? "" : `, line ${line}`}: ${message}`,
      { cause: error },
    );
  }
}

function definitionsOf(tree: Root): Map<string, string> {
  const urls = new Map<string, string>();
  visitParents(tree, "definition", ({ identifier, url }: Definition) => {
    // Of two with one name, Markdown takes the first.
    if (!urls.has(identifier)) urls.set(identifier, url);
  });
  return urls;
}

/** `lang: de` in front matter, whatever language that is written in. */
function languageOf(tree: Root): string | undefined {
  const [first] = tree.children as { type: string; value?: string }[];
  if (first?.type !== "yaml" && first?.type !== "toml") return undefined;
  return /^(?:lang|language|locale) *[:=] *["']?([a-z]{2,3}(?:[-_][\w-]+)?)["']? *(?:#.*)?$/im.exec(
    first.value ?? "",
  )?.[1];
}

function picturesOf(node: Nodes, parents: readonly Parents[], text: string, context: Context): PagePicture[] {
  const hidden = parents.some((parent) => jsxOf(parent)?.hidden);
  switch (node.type) {
    case "image":
      return [markdownPicture(node, node.url, hidden, text, context.mdx)];
    case "imageReference": {
      const source = context.definitions.get(node.identifier);
      return [markdownPicture(node, source, hidden, text, context.mdx)];
    }
    case "html":
      return htmlPictures(node, text);
    default:
      return jsxPictures(node, hidden, context.imports);
  }
}

/** Within quotations and lists, a node's value lacks what its lines begin with; its pictures' places count that in. */
function htmlPictures({ value, position }: Html, text: string): PagePicture[] {
  const start = position!.start.offset!;
  const lines = value.split("\n");
  const whole = text.slice(start, position!.end.offset!).split("\n");
  const cut = whole.map((line, i) => line.length - (lines[i]?.length ?? line.length));
  // What tabs begin with cannot be told apart so; such a node is read as it stands.
  const alike = lines.length === whole.length && whole.every((line, i) => line.endsWith(lines[i]!));
  const move = (offset: number): number => {
    const line = value.slice(0, offset).split("\n").length;
    return start + offset + (alike ? cut.slice(0, line).reduce((sum, more) => sum + more, 0) : 0);
  };
  return readHtml(alike ? value : whole.join("\n")).pictures.map(({ offset, place, ...rest }) => ({
    ...rest,
    offset: move(offset),
    place: { ...place, start: move(place.start), end: move(place.end) },
  }));
}

function markdownPicture(
  node: Image | ImageReference,
  source: string | undefined,
  decorative: boolean,
  text: string,
  mdx: boolean,
): PagePicture {
  const start = node.position!.start.offset!;
  return {
    source,
    // Unlike in HTML, no text is not said on purpose.
    alt: node.alt?.trim() ? node.alt : undefined,
    decorative,
    lang: undefined,
    offset: start,
    place: placeOf(node, text, start, mdx),
  };
}

function placeOf(node: Image | ImageReference, text: string, start: number, mdx: boolean): AltPlace {
  const labelStart = start + 2;
  const labelEnd = closingBracket(text, labelStart);
  const write = (caption: string): string => escapeMarkdown(caption, mdx);
  if (node.type === "image" || node.referenceType === "full")
    return { start: labelStart, end: labelEnd, write };
  // The text names its definition, and goes on to do so.
  const label = text.slice(labelStart, labelEnd);
  return {
    start: labelStart,
    end: node.position!.end.offset!,
    write: (caption) => `${write(caption)}][${label}]`,
  };
}

/** Where the bracket that was opened before `from` is closed. */
function closingBracket(text: string, from: number): number {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    if (text[at] === "\\") at++;
    else if (text[at] === "[") depth++;
    else if (text[at] === "]" && --depth === 0) return at;
  }
  return text.length;
}

function escapeMarkdown(text: string, mdx: boolean): string {
  const special = mdx ? /[\\`*_[\]<>&~{}]/g : /[\\`*_[\]<>&~]/g;
  return text.replace(special, "\\$&").replace(/\s+/g, " ");
}
