import { z } from "zod";
import { captionRequestSchema, requestOptionsSchema } from "./caption-request.js";
import { pictureRequestSchema } from "./show-picture.js";
import { translationRequestSchema } from "./translations.js";

type Json = Readonly<Record<string, unknown>>;

const ref = (name: string): Json => ({ $ref: `#/components/schemas/${name}` });
const json = (schema: Json): Json => ({ "application/json": { schema } });
const answer = (description: string, content?: Json): Json => ({ description, ...(content && { content }) });
const failed = (description: string): Json => answer(description, json(ref("Error")));

/** A zod schema as OpenAPI 3.1 takes it, which is JSON Schema 2020-12. */
function schemaOf(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input" });
  return rest;
}

/** The fields of the form, each a text but for the files. */
function formSchema(): Json {
  const { properties, ...rest } = schemaOf(requestOptionsSchema);
  const image = {
    type: "array",
    minItems: 1,
    items: { type: "string", contentMediaType: "application/octet-stream" },
    description: "Picture files: JPEG, PNG, WebP, GIF, AVIF or TIFF.",
  };
  return { ...rest, properties: { image, ...(properties as object) }, required: ["image"] };
}

const ERRORS: Json = {
  400: failed("The request is malformed, or an option or a language is not supported."),
  401: failed("The server asks for an API key, and none that it knows was given."),
  403: failed("A URL leads to an address that is not public, or a page of another site asks."),
  408: failed("The body did not come in time."),
  413: failed("The body is too large, or a picture has too many pixels."),
  415: failed("Not a type of body, or of picture, that is supported."),
  422: failed("A picture is damaged, or could not be fetched."),
  429: failed("Too many requests, or too many pictures wait. Retry-After says for how long to wait."),
  503: failed("The deadline has passed, or the server is shutting down."),
};

const BODY: Json = {
  required: true,
  content: {
    "application/json": { schema: ref("CaptionRequest") },
    "multipart/form-data": { schema: ref("CaptionForm") },
  },
};

/** The description of the API, OpenAPI 3.1. */
export function openApiDocument({
  version,
  keys,
  translations,
}: {
  readonly version: string;
  readonly keys: boolean;
  /** Whether there are models that translate. */
  readonly translations: boolean;
}): Json {
  return {
    openapi: "3.1.0",
    info: {
      title: "lingolens",
      version,
      summary: "Describes pictures in many languages.",
      description: "Options are those of the command line, in camelCase. Nothing that is uploaded is kept.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    ...(keys && { security: [{ bearer: [] }, { apiKey: [] }] }),
    paths: {
      "/v1/captions": {
        post: {
          operationId: "caption",
          summary: "Describe pictures",
          description:
            "A result per picture and language, in the request's order. A picture that fails becomes a result with " +
            "`error`; where all fail, the answer is the first one's error.",
          requestBody: BODY,
          responses: { 200: answer("Results.", json(ref("CaptionResponse"))), ...ERRORS },
        },
      },
      "/v1/captions/stream": {
        post: {
          operationId: "captionStream",
          summary: "Describe pictures, told as captions grow",
          description:
            "Server-sent events. `partial`: `{image, lang, text}`, the best caption so far, which may yet change. " +
            "`result`: a result as of /v1/captions. `error`: `{code, message}`, after which nothing comes. `done`: the end.",
          requestBody: BODY,
          responses: {
            200: answer("Events.", { "text/event-stream": { schema: { type: "string" } } }),
            ...ERRORS,
          },
        },
      },
      "/v1/pictures": {
        post: {
          operationId: "picture",
          summary: "Fetch a picture from another site, for a page that may not read it",
          requestBody: { required: true, content: json(ref("PictureRequest")) },
          responses: {
            200: answer("The picture's bytes, as they are.", {
              "image/*": { schema: { type: "string", contentMediaType: "application/octet-stream" } },
            }),
            ...ERRORS,
          },
        },
      },
      ...(translations && {
        "/v1/translations": {
          post: {
            operationId: "translate",
            summary: "Translate captions into English",
            requestBody: { required: true, content: json(ref("TranslationRequest")) },
            responses: {
              200: answer("Translations, in the order of the texts.", json(ref("TranslationResponse"))),
              ...ERRORS,
            },
          },
        },
      }),
      "/v1/models": {
        get: {
          operationId: "models",
          summary: "The model, its languages and the limits of this server",
          responses: { 200: answer("The model.", json(ref("Models"))), 401: ERRORS[401] },
        },
      },
      "/healthz": {
        get: {
          operationId: "health",
          summary: "Whether the process lives",
          security: [],
          responses: { 200: answer("It does.") },
        },
      },
      "/readyz": {
        get: {
          operationId: "ready",
          summary: "Whether requests are taken",
          security: [],
          responses: { 200: answer("They are."), 503: failed("The server is shutting down.") },
        },
      },
      "/metrics": {
        get: {
          operationId: "metrics",
          summary: "Figures for Prometheus",
          responses: {
            200: answer("Prometheus' text format.", { "text/plain": { schema: { type: "string" } } }),
          },
        },
      },
    },
    components: {
      ...(keys && {
        securitySchemes: {
          bearer: { type: "http", scheme: "bearer" },
          apiKey: { type: "apiKey", in: "header", name: "X-API-Key" },
        },
      }),
      schemas: {
        CaptionRequest: schemaOf(captionRequestSchema),
        CaptionForm: formSchema(),
        PictureRequest: schemaOf(pictureRequestSchema),
        ...(translations && {
          TranslationRequest: schemaOf(translationRequestSchema),
          TranslationResponse: object({
            translations: {
              type: "array",
              items: object({
                text: { type: "string" },
                model: { type: "string", description: "Which model translated it." },
              }),
            },
          }),
        }),
        CaptionResponse: object({ results: { type: "array", items: ref("Result") } }),
        Result: {
          oneOf: [
            object({
              image: { type: "string" },
              lang: { type: "string", description: "mBART code, such as en_XX." },
              captions: { type: "array", items: ref("Caption"), description: "Best first." },
            }),
            object({ image: { type: "string" }, error: ref("ErrorDetail") }),
          ],
        },
        Caption: {
          ...object({
            text: { type: "string" },
            score: {
              type: "number",
              description: "Sum of log-probabilities over length to the lengthPenalty.",
            },
            tokens: { type: "array", items: { type: "integer" }, description: "From the start token on." },
            attention: {
              type: "array",
              items: { type: "array", items: { type: "number" } },
              description:
                "With the option attention: for each token after the start token, its attention over the class " +
                "position and then the patches, row by row.",
            },
            logProbs: {
              type: "array",
              items: { type: "number" },
              description:
                "With the option logProbs: the log-probability of each token after the start token.",
            },
            pieces: {
              type: "array",
              items: { type: "string" },
              description: "With the option attention: the text that each token after the start token adds.",
            },
          }),
          required: ["text", "score", "tokens"],
        },
        Models: object({
          models: {
            type: "array",
            items: withOptional(
              {
                files: {
                  type: "string",
                  description: "Path of the model's files, where browsers may have them.",
                },
              },
              {
                id: { type: "string" },
                bundled: {
                  type: "boolean",
                  description: "Whether it is the model that knows drawn scenes only.",
                },
                languages: {
                  type: "array",
                  items: object({
                    code: { type: "string" },
                    iso: { type: "string" },
                    name: { type: "string" },
                  }),
                },
                imageSize: { type: "integer" },
                grid: {
                  type: "integer",
                  description: "Patches along an edge: attention covers 1 + grid × grid.",
                },
                view: {
                  type: "object",
                  description: "How a picture is resized, and how much of its centre is then seen.",
                },
              },
            ),
          },
          translations: { type: "boolean", description: "Whether /v1/translations has models." },
          limits: { type: "object", additionalProperties: { type: "number" } },
        }),
        Error: object({ error: ref("ErrorDetail") }),
        ErrorDetail: object({ code: { type: "string" }, message: { type: "string" } }),
      },
    },
  };
}

/** An object with some properties that it may lack. */
function withOptional(optional: Json, properties: Json): Json {
  const whole = object(properties);
  return { ...whole, properties: { ...properties, ...optional } };
}

/** An object with all of these properties. */
function object(properties: Json): Json {
  return { type: "object", properties, required: Object.keys(properties) };
}
