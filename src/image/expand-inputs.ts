import { readdir, stat } from "node:fs/promises";
import { LingolensError } from "../errors.js";
import { globFiles, hasWildcard } from "./glob.js";
import { isUrl, type PictureSource, readLimited } from "./picture-source.js";

/** A picture to caption, or why an input of the command line names none. */
export type ExpandedInput =
  | { readonly name: string; readonly source: PictureSource }
  | { readonly name: string; readonly error: LingolensError };

/** Pictures of a folder are told by their names, so that a text file beside them is no failed picture. */
const PICTURE_NAME = /\.(?:jpe?g|jpe|jfif|png|webp|gif|avif|tiff?)$/i;

/**
 * Turns the inputs of a command line into pictures, in the order given: a file is itself; a folder is the pictures
 * right in it, by name and without hidden ones (for those deeper down there are patterns); a pattern is the files that
 * match it; `-` is the bytes of standard input; a URL is itself. An input that matches nothing becomes an error entry,
 * and the rest goes on.
 */
export async function* expandInputs(
  inputs: readonly string[],
  stdin: AsyncIterable<Uint8Array> = process.stdin,
): AsyncGenerator<ExpandedInput> {
  for (const input of inputs) {
    try {
      yield* await expand(input, stdin);
    } catch (error) {
      yield { name: input, error: asLingolensError(input, error) };
    }
  }
}

async function expand(input: string, stdin: AsyncIterable<Uint8Array>): Promise<ExpandedInput[]> {
  if (input === "-") return [{ name: "-", source: await readLimited(stdin, "Standard input") }];
  if (isUrl(input)) return [file(input)];
  const kind = await stat(input).catch(() => undefined);
  if (kind?.isDirectory()) return (await picturesIn(input)).map(file);
  // A file whose own name holds a wildcard is meant itself; one that is missing fails when it is loaded.
  if (kind || !hasWildcard(input)) return [file(input)];
  const matches = await globFiles(input);
  if (matches.length === 0) throw new LingolensError("file-not-found", `No file matches ${input}.`);
  return matches.map(file);
}

function file(path: string): ExpandedInput {
  return { name: path, source: path };
}

async function picturesIn(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => !name.startsWith(".") && PICTURE_NAME.test(name));
  if (names.length === 0) {
    throw new LingolensError(
      "file-not-found",
      `The folder ${folder} holds no pictures (JPEG, PNG, WebP, GIF, AVIF, TIFF).`,
    );
  }
  return names.sort().map((name) => `${folder.replace(/[/\\]$/, "")}/${name}`);
}

function asLingolensError(input: string, error: unknown): LingolensError {
  if (error instanceof LingolensError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new LingolensError("unreadable-image", `${input} cannot be read: ${reason}.`, { cause: error });
}
