// What a fresh clone needs before it can run: the right Node, its packages, its build. Each step is skipped where it
// has been done. Uses nothing but Node, as there may be no node_modules yet.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

export function requireNode() {
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const [major, minor] = engines.node.replace(">=", "").split(".").map(Number);
  const [ours, oursMinor] = process.versions.node.split(".").map(Number);
  if (ours > major || (ours === major && oursMinor >= minor)) return;
  console.error(
    `lingolens needs Node ${major}.${minor} or newer; this is ${process.versions.node} (${process.execPath}). ` +
      "Install a current one from https://nodejs.org and run this again.",
  );
  process.exit(2);
}

/** Runs `npm ci` where node_modules is missing, was left half done, or is older than the lockfile. */
export function installPackages() {
  const lockfile = join(root, "package-lock.json");
  // npm writes this one last.
  const installed = join(root, "node_modules", ".package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lockfile).mtimeMs) return;
  console.error("Installing packages…");
  const status = npm(["ci", "--loglevel=error"]);
  if (status !== 0) process.exit(status);
}

/** @returns exit status; npm's words go to stderr, so that stdout holds results only */
function npm(args) {
  const running = process.env.npm_execpath;
  const isNpm = running !== undefined && basename(running) === "npm-cli.js";
  const [command, ...before] = isNpm ? [process.execPath, running] : ["npm"];
  const { status, error } = spawnSync(command, [...before, ...args], {
    cwd: root,
    stdio: ["ignore", 2, 2],
    shell: !isNpm && process.platform === "win32",
  });
  if (error)
    console.error(`npm could not be started: ${error.message}. It comes with Node; is it on the PATH?`);
  return status ?? 1;
}

const stamp = join(root, "dist", ".sources");

/** Builds dist/ where the sources have changed since it was built. @returns whether dist/ is up to date now */
export function buildIfChanged() {
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === hashOfSources()) return true;
  console.error("Building…");
  return build();
}

/** Builds dist/ anew, without leftovers of sources that are gone. @returns whether it succeeded */
export function build() {
  const sources = hashOfSources();
  rmSync(join(root, "dist"), { recursive: true, force: true });
  const succeeded =
    runTool(["typescript", "bin", "tsc"], ["-p", "tsconfig.build.json"]) &&
    runTool(["vite", "bin", "vite.js"], ["build", "--config", "web/vite.config.ts", "--logLevel", "warn"]);
  if (succeeded) writeFileSync(stamp, sources);
  return succeeded;
}

/** @returns whether a program of node_modules succeeded; its words go to stderr */
function runTool(path, args) {
  const program = join(root, "node_modules", ...path);
  const { status } = spawnSync(process.execPath, [program, ...args], { cwd: root, stdio: ["ignore", 2, 2] });
  return status === 0;
}

function hashOfSources() {
  const sources = ["src", "web"]
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".test.ts"))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
  const settings = ["tsconfig.json", "tsconfig.build.json", "package-lock.json"].map((name) =>
    join(root, name),
  );
  const hash = createHash("sha256");
  for (const path of [...settings, ...sources]) {
    hash
      .update(`${relative(root, path)}\0`)
      .update(readFileSync(path))
      .update("\0");
  }
  return hash.digest("hex");
}
