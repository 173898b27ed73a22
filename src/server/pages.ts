/** Pages made here: the API's description for people, and what stands at / where no web page was built. */

export const PAGE_STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 54rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 0.875rem/1.45 ui-monospace, monospace; }
pre { padding: 0.75rem; overflow-x: auto; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: 0.4rem; }
h2 { margin-top: 2.5rem; }
h3 code { font-size: 1.05rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.75rem 0.3rem 0; border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
a { color: LinkText; }
`;

// biome-ignore lint/suspicious/noExplicitAny: a document of JSON, of our own making
type Any = any;

/** The OpenAPI document as a page that needs no script. */
export function docsPage(document: Any): string {
  const operations = Object.entries<Any>(document.paths).flatMap(([path, methods]) =>
    Object.entries<Any>(methods).map(([method, operation]) => operationHtml(path, method, operation)),
  );
  const schemas = Object.entries<Any>(document.components.schemas)
    .filter(([, schema]) => schema.properties)
    .map(
      ([name, schema]) =>
        `<h3 id="${escapeHtml(name)}"><code>${escapeHtml(name)}</code></h3>${propertiesHtml(schema)}`,
    );
  const { title, version, summary, description } = document.info;
  return page(
    `${title} API`,
    `<h1>${escapeHtml(title)} API ${escapeHtml(version)}</h1>
<p>${escapeHtml(summary)} ${escapeHtml(description)}</p>
<p>For programs: <a href="/openapi.json">openapi.json</a>, OpenAPI ${escapeHtml(document.openapi)}.</p>
<h2>Examples</h2>
<pre>curl -F image=@photo.jpg -F lang=en,de http://localhost:8080/v1/captions

curl -H 'content-type: application/json' http://localhost:8080/v1/captions \\
  -d '{"images":[{"url":"https://example.org/cat.jpg"}],"lang":["en","es"],"numCaptions":3}'

curl -N -F image=@photo.jpg http://localhost:8080/v1/captions/stream</pre>
<h2>Requests</h2>${operations.join("\n")}
<h2>Objects</h2>${schemas.join("\n")}`,
  );
}

/** What the API offers, in short. */
export function startPage(version: string): string {
  return page(
    "lingolens",
    `<h1>lingolens ${escapeHtml(version)}</h1>
<p>This server describes pictures in many languages. The web page was not built with it; the API is here:</p>
<pre>curl -F image=@photo.jpg -F lang=en,de http://localhost:8080/v1/captions</pre>
<ul>
<li><code>POST /v1/captions</code>: pictures as files, URLs or base64; captions by language</li>
<li><code>POST /v1/captions/stream</code>: the same as server-sent events, while captions grow</li>
<li><code>GET /v1/models</code>: the model, its languages, this server's limits</li>
<li><code>GET /healthz</code>, <code>/readyz</code>, <code>/metrics</code></li>
</ul>
<p><a href="/docs">Description of the API</a>, <a href="/openapi.json">openapi.json</a></p>`,
  );
}

function operationHtml(path: string, method: string, operation: Any): string {
  const body = Object.entries<Any>(operation.requestBody?.content ?? {}).map(
    ([type, { schema }]) => `<code>${escapeHtml(type)}</code>: ${typeHtml(schema)}`,
  );
  const answers = Object.entries<Any>(operation.responses).map(
    ([status, { description }]) =>
      `<tr><td><code>${escapeHtml(status)}</code></td><td>${escapeHtml(description)}</td></tr>`,
  );
  return `<h3><code>${escapeHtml(method.toUpperCase())} ${escapeHtml(path)}</code></h3>
<p>${escapeHtml(operation.summary)}. ${text(operation.description ?? "")}</p>
${body.length > 0 ? `<p>Body: ${body.join(", or ")}</p>` : ""}
<table><tr><th>Status</th><th>Meaning</th></tr>${answers.join("")}</table>`;
}

function propertiesHtml({ properties, required = [] }: Any): string {
  const rows = Object.entries<Any>(properties).map(([name, schema]) => {
    const notes = [
      schema.description && text(schema.description),
      schema.default !== undefined && `Default <code>${escapeHtml(JSON.stringify(schema.default))}</code>.`,
    ];
    const must = required.includes(name) && schema.default === undefined ? " (required)" : "";
    return `<tr><td><code>${escapeHtml(name)}</code>${must}</td><td>${typeHtml(schema)}</td><td>${notes.filter(Boolean).join(" ")}</td></tr>`;
  });
  return `<table><tr><th>Name</th><th>Type</th><th></th></tr>${rows.join("")}</table>`;
}

function typeHtml(schema: Any): string {
  if (schema.$ref) {
    const name = escapeHtml(schema.$ref.split("/").at(-1));
    return `<a href="#${name}">${name}</a>`;
  }
  const choice = schema.anyOf ?? schema.oneOf;
  if (choice) return choice.map(typeHtml).join(" or ");
  if (schema.const !== undefined) return `<code>${escapeHtml(JSON.stringify(schema.const))}</code>`;
  if (schema.type === "array") return `list of ${typeHtml(schema.items ?? {})}`;
  if (schema.type === "object" && schema.properties)
    return `{ ${Object.keys(schema.properties)
      .map((name) => `<code>${escapeHtml(name)}</code>`)
      .join(", ")} }`;
  const { minimum, maximum, exclusiveMinimum } = schema;
  const real = (bound: number | undefined): bound is number =>
    bound !== undefined && Math.abs(bound) < Number.MAX_SAFE_INTEGER;
  const bounds = [
    real(minimum) && `from ${minimum}`,
    real(exclusiveMinimum) && `above ${exclusiveMinimum}`,
    real(maximum) && `to ${maximum}`,
  ].filter(Boolean);
  return escapeHtml([schema.type ?? "any", ...bounds].join(" "));
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(title)}</title><style>${PAGE_STYLE}</style></head>
<body>
${body}
</body>
</html>
`;
}

/** Text with `code` in it. */
function text(value: string): string {
  return escapeHtml(value).replace(/`([^`]+)`/g, "<code>$1</code>");
}

function escapeHtml(value: string): string {
  return value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
