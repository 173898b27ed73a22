import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LingolensError } from "../errors.js";
import type { PictureSource } from "../image/picture-source.js";
import type { PageFile } from "./find-pages.js";

/** Folders whose content generators put at the root of the site: Next.js, Vite, Astro; Hugo, Docusaurus, SvelteKit. */
const ASSET_FOLDERS = ["", "public", "static", "src"];

/**
 * What a page's picture is to the captioner: a file, the bytes of a data URL, or a URL.
 * @throws {LingolensError} `file-not-found`; `unsupported-format` for other schemes; `fetch-failed` for a URL unless
 * remote pictures are allowed
 */
export async function resolveSource(
  source: string,
  { path, root }: PageFile,
  { remote }: { readonly remote: boolean },
): Promise<PictureSource> {
  if (/^data:/i.test(source)) return fromDataUrl(source);
  const url = source.startsWith("//") ? `https:${source}` : source;
  if (/^https?:/i.test(url)) {
    if (remote) return url;
    throw new LingolensError("fetch-failed", "It is on another server; add --remote to fetch it.");
  }
  if (/^[a-z][a-z0-9+.-]+:/i.test(url))
    throw new LingolensError("unsupported-format", "Only files and http or https URLs are read.");
  const file = decode(url.split(/[?#]/, 1)[0]!);
  // Tools for MDX write "@site/…" or "~/…" for the root.
  const fromRoot = /^(?:\/|@site\/|@\/|~\/)(.*)$/s.exec(file)?.[1];
  const candidates =
    fromRoot === undefined
      ? [join(dirname(path), file)]
      : ASSET_FOLDERS.map((folder) => join(root, folder, fromRoot));
  for (const candidate of candidates)
    if ((await stat(candidate).catch(() => undefined))?.isFile()) return candidate;
  const hint = fromRoot === undefined ? "" : "; --root names the folder that the site's root is";
  throw new LingolensError("file-not-found", `${candidates[0]} does not exist${hint}.`);
}

function fromDataUrl(url: string): Uint8Array {
  const [, base64, data] = /^data:[^,]*?(;base64)?,(.*)$/is.exec(url) ?? [];
  if (data === undefined) throw new LingolensError("unreadable-image", "The data URL is malformed.");
  return base64 ? Buffer.from(data, "base64") : Buffer.from(decode(data), "latin1");
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
