// Run by npm once lingolens is installed; in a fresh clone there is nothing built yet to run.
import { existsSync } from "node:fs";

const postinstall = new URL("../dist/engine/postinstall.js", import.meta.url);
if (existsSync(postinstall)) {
  try {
    await import(postinstall.href);
  } catch (error) {
    // An installation never fails over it: the first run says what is wrong, and what to do.
    console.error(`lingolens: ${error.message}`);
  }
}
