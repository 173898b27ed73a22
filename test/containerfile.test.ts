import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const read = (path: string) => readFile(fileURLToPath(new URL(`../${path}`, import.meta.url)), "utf8");

it("the Containerfile does what docs/serving.md says for Debian, and nothing else", async () => {
  const runs = [...(await read("Containerfile")).matchAll(/^RUN (.*)$/gm)].map(([, command]) => command!);
  const [, section] = (await read("docs/serving.md")).split("### On Debian\n");
  const [, block] = /```sh\n([\s\S]*?)```/.exec(section!)!;
  const steps = block!
    .split("\n")
    .map((line) => line.replace(/ +#.*$/, ""))
    .filter((line) => line !== "" && !line.startsWith("cd "));
  // Both of its stages begin alike.
  expect([...new Set(runs)]).toEqual(steps);
});
