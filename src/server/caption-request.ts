import { z } from "zod";
import {
  type CaptionOptions,
  captionOptionsSchema,
  type ResolvedCaptionOptions,
  resolveCaptionOptions,
} from "../captioner/options.js";
import { LingolensError } from "../errors.js";
import { HttpError } from "./http-error.js";
import { parseForm } from "./multipart.js";
import type { ServerSettings } from "./settings.js";

/** A picture as a request gives it, with the name that its results carry. */
export interface RequestedImage {
  readonly name: string;
  readonly source: Uint8Array | { readonly url: string };
}

export interface CaptionRequest {
  readonly images: readonly RequestedImage[];
  readonly options: ResolvedCaptionOptions;
}

const name = z.string().min(1).max(255);

/** Options of the command line, less those that are the server's to choose, and with bounds where they cost memory. */
export const requestOptionsSchema = captionOptionsSchema
  .omit({ batchSize: true, allowPrivate: true })
  .extend({
    lang: z
      .union([z.string().max(1000), z.array(z.string().max(20)).min(1).max(64)])
      .meta({ description: 'Codes such as "en" or "en_XX", a list or separated by commas; or "all".' })
      .default("en"),
    suppress: z.array(z.string().min(1).max(200)).max(64).default([]),
    topK: z.int().min(1).max(1000).optional(),
  });

export const captionRequestSchema = requestOptionsSchema.extend({
  images: z
    .array(
      z.union([
        z.strictObject({ url: z.string().max(8192), name: name.optional() }),
        z.strictObject({ base64: z.string().min(1), name: name.optional() }),
      ]),
    )
    .min(1)
    .meta({
      description: "Pictures: an http(s) URL, or the bytes of a file in base64 (a data URL will do).",
    }),
});

/**
 * Understands a request's body.
 * @throws {HttpError} `unsupported-media-type`, `bad-request`; {LingolensError} `option-unsupported`
 */
export function readCaptionRequest(
  contentType: string | undefined,
  body: Buffer,
  { maxImages }: Pick<ServerSettings, "maxImages">,
): CaptionRequest {
  const type = (contentType ?? "").split(";", 1)[0]!.trim().toLowerCase();
  if (type !== "application/json" && type !== "multipart/form-data")
    throw new HttpError(
      "unsupported-media-type",
      `Expected a body of type application/json or multipart/form-data; got ${type.slice(0, 100) || "none"}.`,
    );
  const given = type === "application/json" ? parseJson(body) : parseMultipart(contentType!, body);
  if (given.images.length > maxImages)
    throw badRequest(`At most ${maxImages} pictures are taken in a request; got ${given.images.length}.`);
  return { images: given.images, options: resolveOptions(given.options) };
}

function resolveOptions(options: CaptionOptions): ResolvedCaptionOptions {
  const { lang = "en" } = options;
  const list = (typeof lang === "string" ? lang.split(",") : lang).map((code) => code.trim()).filter(Boolean);
  if (list.length === 0) throw new LingolensError("option-unsupported", "lang: expected a language.");
  return resolveCaptionOptions({ ...options, lang: list });
}

interface Given {
  readonly images: readonly RequestedImage[];
  readonly options: CaptionOptions;
}

function parseJson(body: Buffer): Given {
  let json: unknown;
  try {
    json = JSON.parse(body.toString("utf8"));
  } catch {
    throw badRequest("The body is not valid JSON.");
  }
  const parsed = captionRequestSchema.safeParse(json);
  if (!parsed.success) throw invalid(parsed.error);
  const { images, ...options } = json as z.input<typeof captionRequestSchema>;
  return {
    images: images.map((image, i) => ({
      name: image.name ?? ("url" in image ? image.url : `#${i + 1}`),
      source: "url" in image ? { url: checkScheme(image.url) } : fromBase64(image.base64, i),
    })),
    options,
  };
}

function checkScheme(url: string): string {
  if (/^https?:\/\//i.test(url)) return url;
  throw badRequest("A picture's url has to begin with http:// or https://.");
}

function fromBase64(text: string, i: number): Uint8Array {
  const data = text.startsWith("data:") ? text.slice(text.indexOf(",") + 1) : text;
  const bytes = Buffer.from(data, "base64");
  // Node skips what does not belong there; then there are fewer bytes than there should be.
  const padding = data.endsWith("==") ? 2 : data.endsWith("=") ? 1 : 0;
  if (data.length % 4 === 0 && bytes.length > 0 && bytes.length === (data.length / 4) * 3 - padding)
    return bytes;
  throw badRequest(`images.${i}.base64 is not valid base64.`);
}

/** Files named `image`; every other field is an option. */
function parseMultipart(contentType: string, body: Buffer): Given {
  const images: RequestedImage[] = [];
  const fields = new Map<string, string[]>();
  for (const { name, filename, bytes } of parseForm(contentType, body)) {
    if (filename === undefined) {
      if (name === "image") throw badRequest("The field image has to be a file, with a filename; got text.");
      fields.set(name, [...(fields.get(name) ?? []), bytes.toString("utf8")]);
    } else {
      if (name !== "image") throw badRequest("Files are expected in the field image only.");
      images.push({ name: filename || `#${images.length + 1}`, source: bytes });
    }
  }
  if (images.length === 0) throw badRequest("Expected at least one file in the field image.");
  const options = Object.fromEntries([...fields].map(([key, values]) => [key, optionOf(key, values)]));
  const parsed = requestOptionsSchema.safeParse(options);
  if (!parsed.success) throw invalid(parsed.error);
  return { images, options };
}

const LISTS = ["lang", "suppress"];

/** The value that the text of a form's field stands for; what it does not fit is refused by the schema. */
function optionOf(key: string, values: readonly string[]): unknown {
  if (LISTS.includes(key)) return key === "lang" && values.length === 1 ? values[0] : values;
  const [text, ...more] = values;
  if (more.length > 0) return values;
  if (text === "true" || text === "false") return text === "true";
  return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
}

function invalid(error: z.ZodError): HttpError {
  const [issue] = error.issues;
  const where = issue!.path.join(".").slice(0, 100);
  const message = issue!.message.slice(0, 300);
  return badRequest(where ? `${where}: ${message}.` : `${message}.`);
}

function badRequest(message: string): HttpError {
  return new HttpError("bad-request", message);
}
