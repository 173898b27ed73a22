import { z } from "zod";
import { LingolensError } from "../errors.js";
import { sniff } from "../image/sniff.js";
import { HttpError } from "./http-error.js";
import { withFetched } from "./read-image.js";
import type { ServerSettings } from "./settings.js";

/** Body of a request for a picture that a page may not read by itself, since it is on another site. */
export const pictureRequestSchema = z.strictObject({
  url: z
    .string()
    .regex(/^https?:\/\//i)
    .max(8192),
});

/**
 * The bytes of a picture elsewhere, as they are.
 * @throws {HttpError} `unsupported-media-type`, `bad-request`; {LingolensError} `unreadable-image` for what is no picture, and what `guardedFetch`
 * throws
 */
export async function showPicture(
  contentType: string | undefined,
  body: Buffer,
  settings: ServerSettings,
  signal: AbortSignal,
): Promise<{ type: string; bytes: Uint8Array<ArrayBuffer> }> {
  if (!/^application\/json\s*(?:;|$)/i.test(contentType ?? ""))
    throw new HttpError("unsupported-media-type", "Expected a body of type application/json.");
  const { url } = parse(body);
  return withFetched(url, settings, signal, async (bytes) => {
    const found = sniff(bytes);
    if (found.kind !== "image")
      throw new LingolensError("unreadable-image", "What is at this address is no picture that can be read.");
    return { type: `image/${found.format.toLowerCase()}`, bytes: new Uint8Array(bytes) };
  });
}

function parse(body: Buffer): z.infer<typeof pictureRequestSchema> {
  try {
    return pictureRequestSchema.parse(JSON.parse(body.toString("utf8")));
  } catch {
    throw new HttpError("bad-request", 'Expected {"url": "https://…"}, an http or https address.');
  }
}
