import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import type { Captioner, NamedPicture } from "../captioner/captioner.js";
import type { CaptionOptions } from "../captioner/options.js";
import { LingolensError } from "../errors.js";
import type { PictureSource } from "../image/picture-source.js";
import { resolveLanguage } from "../text/languages.js";
import type { PageFile } from "./find-pages.js";
import { readHtml } from "./html.js";
import { readMarkdown } from "./markdown.js";
import { lackOf, type Page, type PagePicture } from "./page-picture.js";
import { isPoorText } from "./poor-text.js";
import { resolveSource } from "./resolve-source.js";

/** A picture that lacks a text: the one proposed, or why there is none. */
export interface AltFinding {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly src: string;
  readonly lack: "missing" | "poor";
  /** The poor text. */
  readonly alt?: string;
  /** mBART code. */
  readonly lang?: string;
  readonly proposed?: string;
  readonly error?: { readonly code: string; readonly message: string };
}

export interface PageFindings {
  readonly file: string;
  readonly findings: readonly AltFinding[];
  readonly before: string;
  /** With the proposed texts in it; the same as before where there are none. */
  readonly after: string;
  /** Why the page could not be read. */
  readonly error?: { readonly code: string; readonly message: string };
}

export interface ProposeOptions {
  /** Language of all texts. Default: each page's own, else English. */
  readonly lang?: string;
  /** Whether pictures of other servers are fetched. */
  readonly remote: boolean;
  readonly captions: Omit<CaptionOptions, "lang" | "numCaptions">;
  readonly signal?: AbortSignal;
}

/** A page's picture that lacks a text, on its way to one. */
interface Want {
  readonly page: number;
  readonly picture: PagePicture;
  readonly lack: "missing" | "poor";
  lang?: string;
  source?: PictureSource;
  proposed?: string;
  error?: LingolensError;
}

/** Finds the pictures of pages that lack a text, and describes each once a language. */
export async function proposeTexts(
  files: readonly PageFile[],
  captioner: Captioner,
  options: ProposeOptions,
): Promise<PageFindings[]> {
  const pages = await Promise.all(files.map(readPage));
  const wants: Want[] = [];
  for (const [page, { parsed }] of pages.entries())
    for (const picture of parsed?.pictures ?? []) {
      const lack = lackOf(picture);
      if (lack) wants.push({ page, picture, lack });
    }
  for (const want of wants) {
    const { parsed } = pages[want.page]!;
    try {
      want.lang = languageFor(want.picture, parsed!, options.lang);
      want.source = await resolveSource(want.picture.source!, files[want.page]!, options);
    } catch (error) {
      want.error = asLingolensError(error);
    }
  }
  await describe(wants, captioner, options);
  return pages.map(({ text, error }, page) =>
    findingsOf(
      files[page]!.path,
      text,
      wants.filter((want) => want.page === page),
      error,
    ),
  );
}

async function readPage({
  path,
}: PageFile): Promise<{ text: string; parsed?: Page; error?: LingolensError }> {
  try {
    const bytes = await readFile(path);
    const text = bytes.toString("utf8");
    if (!Buffer.from(text).equals(bytes))
      throw new LingolensError("unsupported-format", "It is not UTF-8; convert it first.");
    return { text, parsed: parsePage(text, extname(path).toLowerCase()) };
  } catch (error) {
    return { text: "", error: asLingolensError(error) };
  }
}

/** The page's pictures, at places of the text as it is, its byte order mark counted. */
function parsePage(text: string, extension: string): Page {
  const mark = text.startsWith("\ufeff") ? 1 : 0;
  const rest = text.slice(mark);
  const isHtml = [".html", ".htm", ".xhtml"].includes(extension);
  const page = isHtml ? readHtml(rest) : readMarkdown(rest, { mdx: extension === ".mdx" });
  return {
    ...page,
    pictures: page.pictures.map(({ offset, place, ...picture }) => ({
      ...picture,
      offset: offset + mark,
      place: { ...place, start: place.start + mark, end: place.end + mark },
    })),
  };
}

function languageFor(picture: PagePicture, page: Page, given: string | undefined): string {
  if (given !== undefined) return resolveLanguage(given).code;
  const stated = picture.lang ?? page.lang ?? "en";
  try {
    return resolveLanguage(stated.split(/[-_]/, 1)[0]!).code;
  } catch (error) {
    const message = `The page's language is "${stated}". --lang names another to write in.`;
    throw new LingolensError("unknown-language", message, { cause: error });
  }
}

/** Each picture once a language, however many pages show it. */
async function describe(
  wants: readonly Want[],
  captioner: Captioner,
  { captions, signal }: ProposeOptions,
): Promise<void> {
  const byLanguage = new Map<string, Map<PictureSource, Want[]>>();
  for (const want of wants) {
    if (want.lang === undefined || want.source === undefined) continue;
    const sources = byLanguage.get(want.lang) ?? new Map<PictureSource, Want[]>();
    byLanguage.set(want.lang, sources);
    const same = sources.get(want.source);
    if (same) same.push(want);
    else sources.set(want.source, [want]);
  }
  for (const [lang, sources] of byLanguage) {
    const groups = [...sources.values()];
    const pictures: NamedPicture[] = [...sources.keys()].map((source, i) => ({ name: String(i), source }));
    try {
      for await (const result of captioner.captionEach(pictures, {
        ...captions,
        lang,
        ...(signal && { signal }),
      }))
        for (const want of groups[Number(result.image)]!) {
          if ("error" in result) want.error = new LingolensError("unreadable-image", result.error.message);
          else settle(want, result.captions[0]!.text);
        }
    } catch (error) {
      // A language that the model does not speak fails its pictures, and no others.
      if (!(error instanceof LingolensError) || error.code !== "unknown-language") throw error;
      for (const want of groups.flat()) want.error = error;
    }
  }
}

/** A text that would be found lacking again is no proposal. */
function settle(want: Want, text: string): void {
  const proposed = text.trim().replace(/\s+/g, " ");
  if (proposed !== "" && !isPoorText(proposed, want.picture.source)) want.proposed = proposed;
  else
    want.error = new LingolensError(
      "unreadable-image",
      `The model found nothing to say (${JSON.stringify(proposed)}).`,
    );
}

function findingsOf(
  file: string,
  before: string,
  wants: readonly Want[],
  error: LingolensError | undefined,
): PageFindings {
  let after = "";
  let at = 0;
  for (const { picture, proposed } of wants.toSorted(
    (a, b) => a.picture.place.start - b.picture.place.start,
  )) {
    if (proposed === undefined) continue;
    const { start, end, write } = picture.place;
    after += before.slice(at, start) + write(proposed);
    at = end;
  }
  after += before.slice(at);
  const findings = wants.map(({ picture, lack, lang, proposed, error: reason }) => ({
    file,
    line: before.slice(0, picture.offset).split("\n").length,
    src: picture.source!,
    lack,
    ...(picture.alt && { alt: picture.alt }),
    ...(lang !== undefined && { lang }),
    ...(proposed !== undefined && { proposed }),
    ...(reason && { error: told(reason) }),
  }));
  return { file, findings, before, after, ...(error && { error: told(error) }) };
}

function told({ code, message }: LingolensError): { code: string; message: string } {
  return { code, message };
}

function asLingolensError(error: unknown): LingolensError {
  if (error instanceof LingolensError) return error;
  return new LingolensError("file-not-found", `It cannot be read: ${(error as Error).message}.`, {
    cause: error,
  });
}
