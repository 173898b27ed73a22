import { spawn } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, delimiter, dirname, join } from "node:path";

/** Settings of an npm that runs us which would make `npm pack` do something else, or nothing. */
const UNWANTED_SETTINGS = new Set([
  "call",
  "dry_run",
  "global",
  "include_workspace_root",
  "json",
  "local_prefix",
  "location",
  "loglevel",
  "offline",
  "pack_destination",
  "package_lock_only",
  "prefer_offline",
  "prefix",
  "workspace",
  "workspaces",
]);

const LONGEST_MS = 20 * 60 * 1000;

/**
 * Downloads a package's tarball into `folder` with the user's own npm, and so from the user's registry, through the
 * user's proxy, with the user's credentials.
 * @param npm path of npm-cli.js, as `findNpm` gives it
 * @returns path of the tarball
 * @throws {Error} with what npm said on stderr
 */
export async function npmPack(npm: string, specifier: string, folder: string): Promise<string> {
  const args = [npm, "pack", specifier, "--pack-destination", folder, "--ignore-scripts", "--loglevel=error"];
  // In the folder from which npm was started lies the project's .npmrc, which may name its registry.
  const started = process.env.INIT_CWD;
  const child = spawn(process.execPath, args, {
    cwd: started && existsSync(started) ? started : process.cwd(),
    env: environmentForNpm(process.env),
    stdio: ["ignore", "ignore", "pipe"],
    timeout: LONGEST_MS,
    windowsHide: true,
  });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-2000);
  });
  const status = await new Promise<number | string | null>((resolve, reject) => {
    child.on("error", reject).on("close", (code, signal) => resolve(code ?? signal));
  });
  if (status !== 0)
    throw new Error(`npm pack ended with ${status}: ${reasonIn(complaint) || "it gave no reason"}`);
  const tarball = (await readdir(folder)).find((name) => name.endsWith(".tgz"));
  if (!tarball) throw new Error("npm pack left no tarball");
  return join(folder, tarball);
}

/** The lines of npm's errors that speak to people, without the stack and properties of its own error. */
function reasonIn(complaint: string): string {
  const lines = complaint.split("\n").map((line) => line.replace(/^npm error ?/, ""));
  return lines
    .filter((line) => line && !/^(\s|[{}]|syscall |errno |A complete log|npm warn)/.test(line))
    .join("; ");
}

export function environmentForNpm(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const wanted = Object.entries(environment).filter(([name]) => {
    const setting = /^npm_config_(.*)$/i.exec(name)?.[1];
    return setting === undefined || !UNWANTED_SETTINGS.has(setting.toLowerCase().replaceAll("-", "_"));
  });
  return { ...Object.fromEntries(wanted), npm_config_update_notifier: "false" };
}

/** Path of npm-cli.js: of the npm that runs us, of the one beside Node, of one on the PATH. */
export function findNpm(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  // Other package managers put themselves there too.
  const running = environment.npm_execpath;
  if (running && basename(running) === "npm-cli.js" && existsSync(running)) return running;

  const node = dirname(process.execPath);
  const folders = [join(node, "..", "lib"), node];
  for (const folder of (environment.PATH ?? environment.Path ?? "").split(delimiter).filter(Boolean)) {
    const linked = join(folder, "npm");
    if (existsSync(linked) && basename(realpathSync(linked)) === "npm-cli.js") return realpathSync(linked);
    folders.push(folder);
  }
  return folders
    .map((folder) => join(folder, "node_modules", "npm", "bin", "npm-cli.js"))
    .find((path) => existsSync(path));
}
