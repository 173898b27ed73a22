import { readdir, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { LingolensError } from "../errors.js";

const EXTENSIONS = [".html", ".htm", ".xhtml", ".md", ".markdown", ".mdx"];

/** A page, and the folder that paths from the root of its site count from. */
export interface PageFile {
  readonly path: string;
  readonly root: string;
}

/**
 * Files themselves, and the pages anywhere in folders, sorted; hidden folders and node_modules apart.
 * @param root of the site; default: the folder given, of a file the working folder
 * @throws {LingolensError} `file-not-found`; `unsupported-format` for a file that is no page
 */
export async function findPages(paths: readonly string[], root?: string): Promise<PageFile[]> {
  const found = new Map<string, PageFile>();
  for (const path of paths) {
    const kind = await stat(path).catch(() => undefined);
    if (!kind) throw new LingolensError("file-not-found", `${path} does not exist.`);
    if (!kind.isDirectory() && !EXTENSIONS.includes(extname(path).toLowerCase()))
      throw new LingolensError(
        "unsupported-format",
        `${path} is not a page: expected a folder or a file that ends in ${EXTENSIONS.join(", ")}.`,
      );
    const files = kind.isDirectory() ? await pagesIn(path) : [path];
    for (const file of files)
      if (!found.has(file)) found.set(file, { path: file, root: root ?? (kind.isDirectory() ? path : ".") });
  }
  return [...found.values()];
}

async function pagesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const paths: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) paths.push(...(await pagesIn(path)));
    else if (entry.isFile() && EXTENSIONS.includes(extname(entry.name).toLowerCase())) paths.push(path);
  }
  return paths;
}
