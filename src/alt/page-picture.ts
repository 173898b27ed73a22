import { isPoorText } from "./poor-text.js";

/** A picture in the text of a page. */
export interface PagePicture {
  /** Where the picture is: a path or URL as the page has it. Undefined where code computes it. */
  readonly source: string | undefined;
  /** Undefined where it has none; null where code computes it. */
  readonly alt: string | null | undefined;
  /** Whether the page says that it adds nothing for who does not see it. */
  readonly decorative: boolean;
  /** The nearest language that elements around it state. */
  readonly lang: string | undefined;
  /** Where it begins. */
  readonly offset: number;
  /** Puts a text there: these characters of the page are replaced, and no others. */
  readonly place: AltPlace;
}

export interface AltPlace {
  readonly start: number;
  readonly end: number;
  /** What to write for a text, escaped. */
  write(text: string): string;
}

/** The pictures of a page, in its order. */
export interface Page {
  readonly pictures: readonly PagePicture[];
  /** What the page says of itself, such as "de-AT". */
  readonly lang: string | undefined;
}

/** Why a picture needs a text; undefined where it is to be left alone. */
export function lackOf({ source, alt, decorative }: PagePicture): "missing" | "poor" | undefined {
  if (decorative || source === undefined || alt === null || isTemplate(source)) return undefined;
  if (alt === undefined) return "missing";
  return !isTemplate(alt) && isPoorText(alt, source) ? "poor" : undefined;
}

/** Whether a template engine is to fill something in: Liquid, Jinja, Handlebars, ERB, PHP, shells. */
function isTemplate(text: string): boolean {
  return /\{\{|\{%|<%|<\?|\$\{/.test(text);
}
