/** Pictures in JSX: elements in the text of MDX, and those that its code makes. */
import type { Nodes, Root } from "mdast";
import type { MdxJsxFlowElement, MdxJsxTextElement } from "mdast-util-mdx";
import { escapeAttribute } from "./html.js";
import type { PagePicture } from "./page-picture.js";

/** Paths of pictures by the names under which they are imported. */
export type JsxImports = ReadonlyMap<string, string>;

/** Elements that become an `img`: HTML's, and the components of Next.js, Astro, Docusaurus and others. */
const PICTURES = ["img", "Image", "Img"];

/** An attribute's value: a text, a name, or what else code computes. */
type Value = { readonly text: string } | { readonly name: string } | "computed";

/** An element, of whichever tree. */
interface Jsx {
  readonly name: string | null;
  readonly start: number;
  readonly attributes: ReadonlyMap<string, { readonly value: Value; start: number; end: number }>;
  /** Whether `{...props}` may set any attribute. */
  readonly spread: boolean;
  /** Whether it hides what is in it from who cannot see. */
  readonly hidden: boolean;
}

// biome-ignore lint/suspicious/noExplicitAny: trees of the ESTree family, which come without types
type EsNode = any;

/** A node of the text as an element; undefined where it is none. */
export function jsxOf(node: Nodes): Jsx | undefined {
  if (node.type !== "mdxJsxFlowElement" && node.type !== "mdxJsxTextElement") return undefined;
  return fromMdast(node);
}

/** Paths of the pictures that a page imports: `import photo from "./photo.jpg"`. */
export function importsOf(tree: Root): Map<string, string> {
  const paths = new Map<string, string>();
  for (const node of tree.children) {
    if (node.type !== "mdxjsEsm") continue;
    for (const { type, specifiers, source } of (node.data?.estree as EsNode)?.body ?? [])
      if (type === "ImportDeclaration")
        for (const { type: kind, local } of specifiers)
          if (kind === "ImportDefaultSpecifier") paths.set(local.name, source.value);
  }
  return paths;
}

/** The pictures of a node itself, its children in the text apart. */
export function jsxPictures(node: Nodes, hidden: boolean, imports: JsxImports): PagePicture[] {
  const element = jsxOf(node);
  const code = "data" in node ? [(node.data as { estree?: EsNode } | undefined)?.estree] : [];
  // Attributes may hold elements, too.
  if (node.type === "mdxJsxFlowElement" || node.type === "mdxJsxTextElement")
    for (const { value } of node.attributes as EsNode[]) code.push(value?.data?.estree);
  const elements = [...(element ? [element] : []), ...code.flatMap((tree) => elementsOf(tree))];
  return elements.flatMap((one) => pictureOf(one, hidden, imports) ?? []);
}

function pictureOf(element: Jsx, hidden: boolean, imports: JsxImports): PagePicture | undefined {
  const { name, start, attributes, spread } = element;
  if (name === null || !PICTURES.includes(name)) return undefined;
  const textOf = (key: string): string | undefined => {
    const value = attributes.get(key)?.value;
    return value !== undefined && value !== "computed" && "text" in value ? value.text : undefined;
  };
  const src = attributes.get("src")?.value;
  const imported =
    src !== undefined && src !== "computed" && "name" in src ? imports.get(src.name) : undefined;
  const named = attributes.has("aria-label") || attributes.has("aria-labelledby");
  const alt = attributes.get("alt");
  const write = (text: string): string => `alt="${escapeAttribute(text)}"`;
  const behindName = start + 1 + name.length;
  return {
    source: named || spread ? undefined : (textOf("src") ?? imported),
    alt: alt && (textOf("alt") ?? null),
    decorative:
      hidden ||
      element.hidden ||
      textOf("alt")?.trim() === "" ||
      /^(?:presentation|none)$/.test(textOf("role") ?? ""),
    lang: undefined,
    offset: start,
    place: alt
      ? { start: alt.start, end: alt.end, write }
      : { start: behindName, end: behindName, write: (text) => ` ${write(text)}` },
  };
}

function fromMdast(node: MdxJsxFlowElement | MdxJsxTextElement): Jsx {
  const attributes = new Map<string, { value: Value; start: number; end: number }>();
  let spread = false;
  for (const attribute of node.attributes) {
    if (attribute.type === "mdxJsxExpressionAttribute") spread = true;
    else {
      const { value, position } = attribute as typeof attribute & { value: EsNode };
      attributes.set(attribute.name, {
        value:
          value && typeof value === "object"
            ? expressionOf(value.data?.estree?.body[0]?.expression)
            : { text: value ?? "" },
        start: position!.start.offset!,
        end: position!.end.offset!,
      });
    }
  }
  return {
    name: node.name,
    start: node.position!.start.offset!,
    attributes,
    spread,
    hidden: hides(attributes),
  };
}

/** The elements anywhere in a tree of code. */
function elementsOf(tree: EsNode): Jsx[] {
  if (tree === null || typeof tree !== "object") return [];
  if (Array.isArray(tree)) return tree.flatMap(elementsOf);
  const own = tree.type === "JSXOpeningElement" ? [fromEstree(tree)] : [];
  return [...own, ...Object.values(tree).flatMap(elementsOf)];
}

function fromEstree({ name, start, attributes: list }: EsNode): Jsx {
  const attributes = new Map<string, { value: Value; start: number; end: number }>();
  for (const { type, name: key, value, start: from, end } of list)
    if (type === "JSXAttribute")
      attributes.set(key.name, {
        value:
          value === null
            ? { text: "" }
            : expressionOf(value.type === "JSXExpressionContainer" ? value.expression : value),
        start: from,
        end,
      });
  const spread = list.some(({ type }: EsNode) => type === "JSXSpreadAttribute");
  return {
    name: name.type === "JSXIdentifier" ? name.name : null,
    start,
    attributes,
    spread,
    hidden: hides(attributes),
  };
}

function expressionOf(expression: EsNode): Value {
  if (expression?.type === "Literal" && ["string", "boolean"].includes(typeof expression.value))
    return { text: String(expression.value) };
  return expression?.type === "Identifier" ? { name: expression.name } : "computed";
}

function hides(attributes: Jsx["attributes"]): boolean {
  const value = attributes.get("aria-hidden")?.value;
  return value !== undefined && value !== "computed" && "text" in value && value.text !== "false";
}
