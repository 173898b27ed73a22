import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type TestServer, testServer } from "../../test/support/test-server.js";
import type { Captioner } from "../captioner/captioner.js";
import { loadCaptioner } from "../captioner/load-captioner.js";
import { bundledModelFolder, examplePictures } from "../weights/bundled-model.js";
import { ModelFiles } from "./model-files.js";

let captioner: Captioner;
let open: TestServer;
let guarded: TestServer;
/** Another site: a picture and a page. */
let elsewhere: Server;
let picture: Buffer;
let site: string;
beforeAll(async () => {
  captioner = await loadCaptioner();
  open = await testServer(
    captioner,
    { allowPrivate: true },
    undefined,
    await ModelFiles.of(bundledModelFolder),
  );
  guarded = await testServer(captioner);
  picture = await readFile(examplePictures[0]!);
  elsewhere = createServer(({ url }, response) => {
    response.end(url === "/picture" ? picture : "<!doctype html><script>alert(1)</script>");
  });
  await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
  site = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`;
});
afterAll(async () => {
  elsewhere.close();
  await open.close();
  await guarded.close();
  await captioner.close();
});

const ask = (server: TestServer, body: string, type = "application/json") =>
  fetch(`${server.url}/v1/pictures`, { method: "POST", body, headers: { "content-type": type } });
const codeOf = async (answer: Response) => [answer.status, (await answer.json()).error.code];

it("passes a picture of another site on as it is, by the type that it has", async () => {
  const answer = await ask(open, JSON.stringify({ url: `${site}/picture` }));
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe("image/png");
  expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
  expect(Buffer.from(await answer.arrayBuffer()).equals(picture)).toBe(true);
});

it("passes nothing else on, nor what lies at private addresses", async () => {
  expect(await codeOf(await ask(open, JSON.stringify({ url: `${site}/page` })))).toEqual([
    422,
    "unreadable-image",
  ]);
  expect(await codeOf(await ask(guarded, JSON.stringify({ url: `${site}/picture` })))).toEqual([
    403,
    "address-refused",
  ]);
  for (const body of [
    "",
    "{}",
    "[]",
    '{"url":1}',
    '{"url":"file:///etc/passwd"}',
    '{"url":"http://a","b":1}',
  ])
    expect(await codeOf(await ask(open, body))).toEqual([400, "bad-request"]);
  expect(await codeOf(await ask(open, "{}", "text/plain"))).toEqual([415, "unsupported-media-type"]);
});

it("gives the model's files where it may, and only those", async () => {
  const [model] = (await (await fetch(`${open.url}/v1/models`)).json()).models;
  expect(model.files).toMatch(/^model\/[0-9a-f]{12}\/$/);
  expect(model.view).toEqual({ size: { shortestEdge: 96 }, cropSize: { width: 96, height: 96 } });
  const weights = await fetch(`${open.url}/${model.files}model.safetensors`);
  const expected = await readFile(`${bundledModelFolder}/model.safetensors`);
  expect(Number(weights.headers.get("content-length"))).toBe(expected.length);
  expect(Buffer.from(await weights.arrayBuffer()).equals(expected)).toBe(true);
  const head = await fetch(`${open.url}/${model.files}config.json`, { method: "HEAD" });
  expect(Number(head.headers.get("content-length"))).toBeGreaterThan(100);
  for (const path of ["README.md", "..%2f..%2fpackage.json", "../../package.json", ""])
    expect((await fetch(`${open.url}/${model.files}${path}`)).status).toBe(404);
  const [other] = (await (await fetch(`${guarded.url}/v1/models`)).json()).models;
  expect(other).not.toHaveProperty("files");
  expect((await fetch(`${guarded.url}/${model.files}config.json`)).status).toBe(404);
});

it("refuses a folder whose weights do not lie in one file", async () => {
  await expect(ModelFiles.of("examples")).rejects.toMatchObject({ code: "option-unsupported" });
});
