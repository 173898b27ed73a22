/** Chromium on pages that this repository's files are served to. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium } from "playwright-core";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Debian's; another by CHROMIUM_PATH. Tests that need it skip where there is none. */
export const chromiumPath = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
export const hasChromium = existsSync(chromiumPath);

export function launchChromium(args: readonly string[] = []): Promise<Browser> {
  // Nothing but the page is to be asked of the network.
  const quiet = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ];
  return chromium.launch({ executablePath: chromiumPath, args: [...quiet, "--disable-quic", ...args] });
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** What a bundler would find for the names of packages. */
const IMPORTS = {
  zod: "/node_modules/zod/index.js",
  "@bufbuild/protobuf/wire": "/node_modules/@bufbuild/protobuf/dist/esm/wire/index.js",
  "onnxruntime-web/wasm": "/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs",
  "onnxruntime-web/webgpu": "/node_modules/onnxruntime-web/dist/ort.webgpu.min.mjs",
};

/** The library is the page's global `lingolens`: Vitest would rewrite an import in a function that runs in the page. */
const PAGE = `<!doctype html><title>test</title>
<script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>
<script type="module">import * as lingolens from "/dist/browser.js"; globalThis.lingolens = lingolens;</script>`;

/** Serves the repository's files, cross-origin isolated as threads of WebAssembly need it, and at / a page with the library. */
export async function serveRepository(): Promise<{ url: string; close(): Promise<void> }> {
  const server: Server = createServer(async ({ url = "/" }, response) => {
    const path = normalize(decodeURIComponent(new URL(url, "http://localhost").pathname));
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    try {
      const body = path === "/" ? PAGE : await readFile(join(root, path));
      response.setHeader(
        "Content-Type",
        TYPES[path === "/" ? ".html" : extname(path)] ?? "application/octet-stream",
      );
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
