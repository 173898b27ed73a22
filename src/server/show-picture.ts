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
 * @throws {HttpError} `bad-request`; {LingolensError} `unreadable-image` for what is no picture, and what `guardedFetch`
 * throws
 */
export async function showPicture(
  body: Buffer,
  settings: ServerSettings,
  signal: AbortSignal,
): Promise<{ type: string; bytes: Uint8Array<ArrayBuffer> }> {
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
