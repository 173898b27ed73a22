/**
 * Keeps the page's own files, so that it opens without network. The model's files are kept by lingolens itself, and
 * what the API answers is not kept.
 */
export type {}; // a module, in which `self` can be told what it is

declare const self: ServiceWorkerGlobalScope;

/** Paths below the page of what it needs to open; the build puts them here. */
declare const SHELL: readonly string[];
/** Folder of onnxruntime-web's files, with its version; likewise. */
declare const ENGINE: string;

const STORE = "lingolens-page";
/** Named by their content, or by a version: what is kept is what would come. */
const UNCHANGING = "assets/";

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(STORE)
      .then((store) => store.addAll(SHELL.map((path) => new Request(path, { cache: "no-cache" }))))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(removeOld().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const path = pathOf(request.url);
  if (request.method !== "GET" || path === undefined) return;
  if (path.startsWith(UNCHANGING)) event.respondWith(keptFirst(request));
  else if (SHELL.includes(path === "" ? "./" : path)) event.respondWith(networkFirst(request));
});

/** Below the page; undefined elsewhere. */
function pathOf(url: string): string | undefined {
  const { origin, pathname } = new URL(url);
  const scope = new URL(self.registration.scope);
  if (origin !== scope.origin || !pathname.startsWith(scope.pathname)) return undefined;
  return pathname.slice(scope.pathname.length);
}

async function keptFirst(request: Request): Promise<Response> {
  const store = await caches.open(STORE);
  return (await store.match(request, { ignoreVary: true })) ?? fetchAndKeep(store, request);
}

async function networkFirst(request: Request): Promise<Response> {
  const store = await caches.open(STORE);
  try {
    return await fetchAndKeep(store, request);
  } catch (error) {
    const kept = await store.match(request, { ignoreVary: true, ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}

async function fetchAndKeep(store: Cache, request: Request): Promise<Response> {
  const response = await fetch(request);
  // Storage may be full; the page goes on without.
  if (response.status === 200) await store.put(request, response.clone()).catch(() => {});
  return response;
}

/** Files of earlier builds. ONNX Runtime's are not in the shell, and go when its version does. */
async function removeOld(): Promise<void> {
  const store = await caches.open(STORE);
  for (const request of await store.keys()) {
    const path = pathOf(request.url) ?? "";
    const current = SHELL.includes(path) || path.startsWith(ENGINE);
    if (path.startsWith(UNCHANGING) && !current) await store.delete(request);
  }
}
