import { describe, expect, it } from "vitest";
import { crc32c } from "./crc32c.js";
import { fileVersion, startsAt, summaries } from "./events.js";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("events, against the records that TensorBoard's own writer makes (tensorboard 2.21)", () => {
  it("gives the file's version", () => {
    expect(hex(fileVersion(1.5))).toBe(
      "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c",
    );
  });

  it("says where a run goes on", () => {
    expect(hex(startsAt(2.25, 301))).toBe("100000000000000095fbfe1809000000000000024010ad023a020801518d2ae0");
  });

  it("holds scalars, text and pictures", () => {
    const values = [
      { tag: "train/loss", scalar: 2.5 },
      { tag: "samples", text: "**en** é" },
      { tag: "picture", png: Uint8Array.of(0x89, 0x50, 0x4e, 0x47), width: 2, height: 3 },
    ];
    expect(hex(summaries(1764000000.25, 300, values))).toBe(
      "6600000000000000723b876a09000010402049da4110ac022a580a110a0a747261696e2f6c6f737315000020400a2a0a0773616d70" +
        "6c65734213080712041202080142092a2a656e2a2a20c3a94a0a0a060a047465787420020a170a0770696374757265220c080310" +
        "021803220489504e4768819a9f",
    );
  });
});

describe("crc32c", () => {
  // RFC 3720, appendix B.4, and the check value of the CRC's definition.
  it.each([
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(0xff), 0x62a8ab43],
    [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    [new TextEncoder().encode("123456789"), 0xe3069283],
  ])("%#", (bytes, checksum) => {
    expect(crc32c(bytes)).toBe(checksum);
  });
});
