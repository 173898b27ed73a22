import { defineConfig } from "vitest/config";

/** Tests that measure time or memory, which others beside them would disturb: they run last, one file at a time. */
const measuring = ["src/captioner/captioner.behaviour.test.ts", "test/memory.test.ts"];

export default defineConfig({
  test: {
    globalSetup: ["test/support/fetch-engine.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "tests",
          include: ["src/**/*.test.ts", "web/src/**/*.test.ts", "test/**/*.test.ts"],
          exclude: measuring,
          // Two cores: the engine already uses both, so test files run two at a time and no more.
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: "measuring", include: measuring, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
