import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type TestServer, testServer } from "../../test/support/test-server.js";
import { temporaryFolder } from "../../test/support/tiny-captioner.js";
import { writeTinyMarian } from "../../test/support/tiny-marian.js";
import type { Captioner } from "../captioner/captioner.js";
import { loadCaptioner } from "../captioner/load-captioner.js";
import { translateTexts } from "../translation/translator.js";
import { HttpError } from "./http-error.js";
import { checkModels, Translations } from "./translations.js";

const LANGUAGES = ["de", "fr", "es", "it", "nl"];
const TEXTS = ["ein roter Ball", "zwei Hunde laufen über eine Wiese", "ein roter Ball"];

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let captioner: Captioner;
let translations: Translations;
let server: TestServer;
const logged: { event: string; fields: unknown }[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  for (const [seed, lang] of LANGUAGES.entries())
    await writeTinyMarian(join(folder.path, `opus-mt-${lang}-en`), seed + 1);
  captioner = await loadCaptioner();
  translations = new Translations({ models: folder.path, threads: 1 }, (event, fields) =>
    logged.push({ event, fields }),
  );
  server = await testServer(captioner, {}, undefined, undefined, translations);
});
afterAll(async () => {
  await server.close();
  await translations.close();
  await captioner.close();
  await folder.remove();
});

const ask = async (body: unknown, url = server.url) => {
  const answer = await fetch(`${url}/v1/translations`, {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "content-type": "application/json" },
  });
  return { status: answer.status, ...(await answer.json()) };
};

/** What the model of a language says, asked without a server. */
async function directly(lang: string): Promise<string[]> {
  const { en } = await translateTexts(TEXTS, { from: lang, to: ["en"], models: folder.path });
  return en!.map(({ text }) => text);
}

describe("POST /v1/translations", () => {
  it("gives the translations of the language's model, in order, with its name", async () => {
    for (const lang of ["de", "fr_XX"]) {
      const iso = lang.slice(0, 2);
      const expected = (await directly(iso)).map((text) => ({ text, model: `opus-mt-${iso}-en` }));
      expect(await ask({ lang, texts: TEXTS })).toEqual({ status: 200, translations: expected });
    }
    expect(await directly("de")).not.toEqual(await directly("fr"));
  });

  it("translates into English from more languages than it keeps models for, also at once", async () => {
    const expected = await Promise.all(LANGUAGES.map(directly));
    for (let round = 0; round < 2; round++) {
      const answers = await Promise.all(LANGUAGES.map((lang) => ask({ lang, texts: TEXTS })));
      const texts = answers.map((answer) => answer.translations.map(({ text }: { text: string }) => text));
      expect(texts).toEqual(expected);
    }
  });

  it("says that there is no model for a language, and tells its log more", async () => {
    const { status, error } = await ask({ lang: "pl", texts: ["kot"] });
    expect([status, error.code]).toEqual([422, "translation-unavailable"]);
    expect(error.message).toContain("Polish");
    expect(error.message).not.toContain(folder.path);
    expect(logged).toContainEqual({
      event: "translation-unavailable",
      fields: expect.objectContaining({ language: "Polish", code: "file-not-found" }),
    });
  });

  it.each<[string, unknown, string]>([
    ["no language", { texts: ["a"] }, "bad-request"],
    ["a language that is none", { lang: "klingon", texts: ["a"] }, "unknown-language"],
    ["English", { lang: "en", texts: ["a"] }, "bad-request"],
    ["no texts", { lang: "de", texts: [] }, "bad-request"],
    ["too many texts", { lang: "de", texts: Array(65).fill("a") }, "bad-request"],
    ["a text that is too long", { lang: "de", texts: ["a".repeat(1001)] }, "bad-request"],
    ["what is the server's to choose", { lang: "de", texts: ["a"], beams: 64 }, "bad-request"],
  ])("refuses %s", async (_, body, code) => {
    const { status, error } = await ask(body);
    expect([status, error.code]).toEqual([400, code]);
  });

  it("stops for a client that has left, and refuses more than can wait", async () => {
    const gone = new AbortController();
    const reason = new HttpError("client-left", "gone");
    const signal = new AbortController().signal;
    const left = translations.translate({ lang: "de", texts: ["eins zwei drei"] }, gone.signal);
    gone.abort(reason);
    await expect(left).rejects.toBe(reason);
    const many = Array.from({ length: 80 }, () =>
      translations.translate({ lang: "de", texts: TEXTS }, signal).catch((error) => error.code),
    );
    const outcomes = await Promise.all(many);
    expect(outcomes.filter((outcome) => outcome === "overloaded")).toHaveLength(16);
    expect((await ask({ lang: "de", texts: TEXTS })).status).toBe(200);
  });
});

it("takes folders of models and names of the hub for models, and nothing else", async () => {
  for (const where of [
    folder.path,
    join(folder.path, "opus-mt-de-en"),
    join(folder.path, "opus-mt-{from}-{to}"),
    "Helsinki-NLP/opus-mt-{from}-{to}",
    "Helsinki-NLP/opus-mt-mul-en@main",
  ])
    await checkModels(where);
  for (const where of [join(folder.path, ".."), join(folder.path, "none"), "models", "./models"])
    await expect(checkModels(where)).rejects.toMatchObject({ code: "file-not-found" });
});

describe("a server", () => {
  it("says whether it translates, in /v1/models and in its description", async () => {
    const plain = await testServer(captioner);
    const told = async (url: string) => {
      const { translations } = await (await fetch(`${url}/v1/models`)).json();
      const { paths } = await (await fetch(`${url}/openapi.json`)).json();
      return [translations, "/v1/translations" in paths];
    };
    expect(await told(server.url)).toEqual([true, true]);
    expect(await told(plain.url)).toEqual([false, false]);
    const { status, error } = await ask({ lang: "de", texts: ["a"] }, plain.url);
    expect([status, error.code]).toEqual([404, "not-found"]);
    await plain.close();
  });
});
