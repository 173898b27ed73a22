import { createHash } from "node:crypto";

/** Of every answer. Nothing of ours is to be framed, guessed at, or read by other sites. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  // With the one above, it gives the page threads for WebAssembly.
  "cross-origin-embedder-policy": "require-corp",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "permissions-policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
};

/** Of the page in dist/web: its own scripts and styles, WebAssembly, and pictures that the user chose. */
export const PAGE_POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self' blob:",
  "img-src 'self' blob: data:",
  "media-src 'self' blob:",
  "connect-src 'self' blob: data:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Of a page without scripts that has one style, within it. */
export function stylePolicy(style: string): string {
  const hash = createHash("sha256").update(style).digest("base64");
  return `${SECURITY_HEADERS["content-security-policy"]}; style-src 'sha256-${hash}'`;
}
