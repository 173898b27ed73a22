import { homedir } from "node:os";
import { join } from "node:path";

/** Our folder in the platform's place for files that can be fetched or made again. */
export function userCacheFolder(
  platform: string = process.platform,
  environment: NodeJS.ProcessEnv = process.env,
): string {
  const home = homedir();
  const platformsOwn =
    platform === "win32"
      ? environment.LOCALAPPDATA || join(home, "AppData", "Local")
      : platform === "darwin"
        ? join(home, "Library", "Caches")
        : join(home, ".cache");
  return join(environment.XDG_CACHE_HOME || platformsOwn, "lingolens");
}
