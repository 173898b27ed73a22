import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { type HubServer, startHubServer, WRITE_TOKEN } from "../../test/support/hub-server.js";
import { temporaryFolder, writeTinyCaptioner } from "../../test/support/tiny-captioner.js";
import { resolveModel } from "../weights/hub/resolve-model.js";
import { openModelFolder } from "../weights/model-folder.js";
import { publishModel } from "./hub.js";

let hub: HubServer;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let model: string;

beforeAll(async () => {
  hub = await startHubServer();
  folder = await temporaryFolder();
  const run = join(folder.path, "run");
  model = join(run, "final");
  await writeTinyCaptioner(model);
  await writeFile(join(model, "training-state.safetensors"), "not for others");
  await writeFile(join(run, "recipe.json"), JSON.stringify({ name: "mine", steps: 300 }));
  await writeFile(join(run, "report.html"), "<!doctype html>");
  const evaluation = {
    loss: 1.25,
    languages: { en: 1, de: 1.5 },
    captions: {
      en: { captions: 32, bleu: [0.5, 0.4, 0.3, 0.21234], chrf: 50, cider: 1.1, exactMatch: 0.25 },
    },
  };
  const lines = [
    { step: 100, loss: 3 },
    { step: 300, loss: 1.5 },
    { step: 300, evaluation },
  ];
  await writeFile(join(run, "metrics.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  vi.stubEnv("HF_HUB_CACHE", join(folder.path, "cache"));
});
afterEach(() => {
  hub.models.clear();
  hub.created.clear();
  delete hub.faults.status;
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  await folder.remove();
});

describe("publishing a model", () => {
  it("uploads what it is made of, so that it can be loaded from there, and a card with scores and recipe", async () => {
    vi.stubEnv("HF_TOKEN", WRITE_TOKEN);
    const seen: number[] = [];
    const url = await publishModel(await openModelFolder(model), "me/mine", {
      onProgress: ({ done, total }) => seen.push(done / total),
    });
    expect(url).toBe(`${hub.endpoint}/me/mine`);
    expect(hub.created.get("me/mine")).toBe("public");
    expect(seen.at(-1)).toBe(1);

    const files = hub.models.get("me/mine")!.files;
    const own = (await readdir(model)).filter((name) => name !== "training-state.safetensors");
    expect(Object.keys(files).sort()).toEqual([...own, "README.md", "report.html"].sort());
    for (const name of own)
      expect(Buffer.from(files[name]!).equals(await readFile(join(model, name))), name).toBe(true);

    const card = Buffer.from(files["README.md"]!).toString();
    expect(card).toMatch(/^---\npipeline_tag: image-to-text\n/);
    expect(card).toContain("npx lingolens caption photo.jpg --model me/mine");
    expect(card).toContain('"steps": 300');
    expect(card).toContain("| 300 | 1.5 | 1.25 |");
    expect(card).toContain("| English | 1 | 0.212 | 50 | 1.1 | 0.25 |");
    expect(card).toContain("| German | 1.5 |  |  |  |  |");
    expect(card).toContain("## Limits");

    const loaded = await openModelFolder(await resolveModel("me/mine"));
    expect(loaded.config).toEqual((await openModelFolder(model)).config);
  });

  it("changes a model that is there, and keeps the card that the folder has", async () => {
    vi.stubEnv("HF_TOKEN", WRITE_TOKEN);
    const folderOf = await openModelFolder(model);
    await publishModel(folderOf, "me/again", { private: true });
    expect(hub.created.get("me/again")).toBe("private");
    await writeFile(join(model, "README.md"), "# By hand");
    await publishModel(folderOf, "me/again");
    expect(Buffer.from(hub.models.get("me/again")!.files["README.md"]!).toString()).toBe("# By hand");
  });

  it.each([
    ["without a token", "", "me/mine", undefined, "option-unsupported", "HF_TOKEN"],
    ["with one that may not write", "hf_reads", "me/mine", undefined, "upload-failed", "may write"],
    ["under a name that is none", WRITE_TOKEN, "mine", undefined, "option-unsupported", "owner/name"],
    ["with a revision", WRITE_TOKEN, "me/mine@v2", undefined, "option-unsupported", "owner/name"],
    ["while the hub is out of order", WRITE_TOKEN, "me/mine", 503, "upload-failed", "503"],
  ])("is refused %s", async (_, token, name, status, code, message) => {
    vi.stubEnv("HF_TOKEN", token);
    if (status) hub.faults.status = status;
    const publishing = publishModel(await openModelFolder(model), name);
    await expect(publishing).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    await publishing.catch((error) => expect(error.message).not.toContain(token || "hf_"));
    expect(hub.models.size).toBe(0);
  });

  it("stops when it is cancelled", async () => {
    vi.stubEnv("HF_TOKEN", WRITE_TOKEN);
    const publishing = publishModel(await openModelFolder(model), "me/mine", { signal: AbortSignal.abort() });
    await expect(publishing).rejects.toMatchObject({ code: "cancelled" });
  });
});
