/** Captions in the JSON of COCO (Chen et al. 2015, arXiv 1504.00325): `images` and `annotations`. */
import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { LingolensError } from "../../errors.js";
import type { DatasetBlock, DatasetEntry } from "../dataset.js";
import { invalid } from "./invalid.js";
import { folderOfPictures, pathWithin } from "./picture-path.js";

const schema = z.object({
  images: z.array(z.looseObject({ id: z.union([z.int(), z.string()]), file_name: z.string().min(1) })),
  annotations: z.array(
    z.object({
      image_id: z.union([z.int(), z.string()]),
      caption: z.string().regex(/\S/, "expected a text"),
    }),
  ),
});

/** The file is one JSON value, so it is read whole; COCO's own are of 70 MB at most. */
const LARGEST_BYTES = 400 * 2 ** 20;

export interface CocoOptions {
  readonly images?: string | undefined;
  readonly language: string;
}

/**
 * Pictures in the order of `images`, as one block; those without a caption are left out.
 * @throws {LingolensError} `file-not-found`; `dataset-invalid` with the place in the JSON
 */
export async function* cocoBlocks(
  path: string,
  { images, language }: CocoOptions,
): AsyncGenerator<DatasetBlock> {
  const list = await readCoco(path);
  const folder = folderOfPictures(path, images);
  const captions = new Map(list.images.map(({ id }) => [id, [] as string[]]));
  list.annotations.forEach(({ image_id, caption }, i) => {
    const own = captions.get(image_id);
    if (!own)
      throw invalid(`${path}, annotations.${i}`, "image_id to be that of a picture in images", `${image_id}`);
    own.push(caption);
  });
  const entries = list.images.flatMap(({ file_name, ...fields }, i): DatasetEntry[] => {
    const texts = captions.get(fields.id)!;
    const imagePath = pathWithin(folder, file_name, `${path}, images.${i}`);
    return texts.length > 0 ? [{ image: file_name, imagePath, captions: { [language]: texts }, fields }] : [];
  });
  yield {
    async *entries() {
      yield* entries;
    },
  };
}

async function readCoco(path: string): Promise<z.infer<typeof schema>> {
  const { size } = await stat(path).catch((cause: Error) => {
    throw new LingolensError("file-not-found", `${path} cannot be read: ${cause.message}.`, { cause });
  });
  if (size > LARGEST_BYTES) throw invalid(path, `at most ${LARGEST_BYTES} bytes of JSON`, `${size}`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path)));
  } catch (error) {
    throw invalid(path, "COCO's captions as JSON in UTF-8", (error as Error).message, error);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(
    `${path}, ${issue!.path.join(".") || "top"}`,
    "COCO's captions",
    issue!.message,
    parsed.error,
  );
}
