import { existsSync } from "node:fs";
import { dirname, join, posix, resolve, sep, win32 } from "node:path";
import { invalid } from "./invalid.js";

/**
 * The absolute path of a picture that a dataset names.
 * @throws {LingolensError} for a path that leaves the folder, on this or another operating system.
 */
export function pathWithin(folder: string, image: string, place: string): string {
  const root = resolve(folder);
  const path = resolve(root, image);
  const leaves = image.split(/[\\/]/).includes("..") || posix.isAbsolute(image) || win32.isAbsolute(image);
  if (leaves || image.includes("\0") || !path.startsWith(root.endsWith(sep) ? root : root + sep)) {
    throw invalid(place, `"image" to be a path within the dataset's folder`, JSON.stringify(image));
  }
  return path;
}

/** Where the pictures of a list are that does not say: in `images/` beside it, or else beside it. */
export function folderOfPictures(list: string, given?: string): string {
  if (given !== undefined) return given;
  const beside = join(dirname(list), "images");
  return existsSync(beside) ? beside : dirname(list);
}
