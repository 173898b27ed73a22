import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "web/src/**/*.test.ts", "test/**/*.test.ts"],
    globalSetup: ["test/support/fetch-engine.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Two cores: the engine already uses both, so test files run two at a time and no more.
    maxWorkers: 2,
  },
});
