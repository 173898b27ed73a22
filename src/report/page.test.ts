import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { html } from "./html.js";
import { reportPage } from "./page.js";

it("allows its own script and styles, data of pictures, and nothing else", () => {
  const page = reportPage({
    title: "<Title>",
    body: html`<p>Hello</p>`,
    script: "let a = 1 < 2;",
    styles: ".a>b{}",
  });
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(page)![1]!.replaceAll("&#39;", "'");
  const digest = (tag: string) => {
    const text = new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(page)![1]!;
    return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  };
  expect(policy.split("; ")).toEqual([
    "default-src 'none'",
    "img-src data:",
    `style-src ${digest("style")}`,
    `script-src ${digest("script")}`,
    "base-uri 'none'",
    "form-action 'none'",
  ]);
  expect(page).toContain("let a = 1 < 2;");
  expect(page).toContain(".a>b{}");
  expect(page).toContain("<title>&lt;Title&gt;</title>");
  expect(page).not.toMatch(/<link|src=|https?:/);
});

it("has no script where none is given", () => {
  const page = reportPage({ title: "T", body: html`<p>Hello</p>` });
  expect(page).not.toContain("script");
});
