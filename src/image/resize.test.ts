import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RgbImage } from "./pixels.js";
import { resizeBicubic } from "./resize.js";

/** Bytes (7 i² + i / 3) mod 256, or 0 and 255 by their top bit: contrasts that drive the filter out of range. */
function pattern(width: number, height: number, contrast: boolean): RgbImage {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const value = (7 * (i % 256) ** 2 + Math.floor(i / 3)) % 256;
    return contrast ? (value > 127 ? 255 : 0) : value;
  });
  return { width, height, data };
}

// sha256 of Image.frombytes("RGB", …).resize(…, Image.Resampling.BICUBIC).tobytes() of Pillow 12.3.0.
const PILLOW_HASHES = [
  [1, 1, 5, 7, false, "88b32078b518f6b7df034fe41849e6cc2477ccbf4728f0f67584545c4961b054"],
  [1, 1, 5, 7, true, "523c41464ee47d61350e15bc091bc970d73ae2d00bfe7a88bc7fe00ae6202c75"],
  [2, 3, 300, 2, false, "b5847999d755b15f9fd4f8846e0713cd1b626e95fa4f35ff58bae5b0555fdb9d"],
  [2, 3, 300, 2, true, "0d0dfa5b4e2fbbb55ac26d6d09d5cedde54a94b1c095285c75b7cb0e0fb63164"],
  [500, 3, 3, 500, false, "4857bce884c721ff2a0eb208e10d33c43623e17fb6b1043b10a19f17fe8a658d"],
  [500, 3, 3, 500, true, "44afe0c4977e6a2362e06660b703ca1868c8e0a9d411dc4f68b7986bb1dc45f2"],
  [7, 2000, 16, 16, false, "bd230bb4745993c906b73d52b5cce508fad5587dd68dd3ca18ada266774c7a8c"],
  [7, 2000, 16, 16, true, "38347c18c85c066c769d0265669b6e8faa51d11b24c93fa61b63dadf16991349"],
  [333, 77, 64, 64, false, "f121c8b669a33dbb19a984cc03bea78c38125f4c673d5d7acdcc0b87a23d7e80"],
  [333, 77, 64, 64, true, "4332a96d2de88583a4cb27405016fc480baac08b3239f80e9d9742ea82ed419e"],
  [64, 64, 64, 20, false, "b47f09770e57fe9b675057a0fa163568bc36226e96c5dd7f6fad41e2d1c25cdb"],
  [64, 64, 64, 20, true, "17bc56761c3557cfcb30836887b35b821d39ead01dff5d511dd59970d91d2022"],
  [64, 64, 20, 64, false, "631cd3fd59ca5ca3e54326c4099246c393816f0b16ee381972c05cbe4fee3bfb"],
  [64, 64, 20, 64, true, "b10145fb06eee524c8fbdcddde119365456f6cb8ddd90232fce14faa8e34a39c"],
  [61, 47, 61, 47, false, "e4be1bcce161b5d24fb68996175d92d2aafe461e50ff692c18419d4d5e6b382d"],
  [61, 47, 61, 47, true, "fb87f14596628e02338170671275e2d69a6896d240f826ad5baa22062982f0fd"],
  [120, 90, 149, 112, false, "ed029d58725ab97f99c49410d8ca7d4f9f3c9a91111c5485b8b5ed3292b0836e"],
  [120, 90, 149, 112, true, "5aae5f15d8a23cfffa9807ed14dcbc4d1ed41637b487589878e0d15e5930230c"],
  [640, 480, 85, 64, false, "29abedf695416ab497d6560c42d15b3a9f0c528637874eaf2ff3e7578fde1971"],
  [640, 480, 85, 64, true, "dc4a1e8d0201ca767040c3c6a969640ecea607f2b6ff5cb063c260734ce47659"],
  [1, 500, 5, 2500, false, "75bf7781784892099c27650c798ddc7de7f208a245a011a71068aac4d8673208"],
  [1, 500, 5, 2500, true, "61ca6b835e1d20059e16517bd1455e6ee0c7d8a77d65263eb35784b2a4c8b05e"],
  [2, 278, 3, 85, false, "628a83a43c4c620065ac062bac213741ef369a017d92581f1de036af709bad00"],
  [2, 278, 3, 85, true, "9dffc997e3f7405ac75ad337ebb33af2690145a6d43f83b422eb1f878601fb1d"],
  [5, 600, 5, 100, false, "6e89886ba6d95fab2303382c067bf5bcbfd1ca165b04e9189d39ac656d947c2d"],
  [5, 600, 5, 100, true, "5f604e3bf77bb6c9534dda7367e5565a8255eaeb42f98bb93e7ad2b0278b544f"],
] as const;

describe("resizeBicubic", () => {
  it.each(PILLOW_HASHES)(
    "%i x %i to %i x %i, contrast %s, as Pillow",
    (w, h, width, height, contrast, sha256) => {
      const { data } = resizeBicubic(pattern(w, h, contrast), { width, height });
      expect(createHash("sha256").update(data).digest("hex")).toBe(sha256);
    },
  );

  it("gives for a window what a crop of the whole gives", () => {
    const edge = fc.integer({ min: 1, max: 60 });
    fc.assert(
      fc.property(
        edge,
        edge,
        edge,
        edge,
        fc.nat(),
        fc.nat(),
        fc.nat(),
        fc.nat(),
        (w, h, width, height, a, b, c, d) => {
          const window = { left: a % width, top: b % height, width: 1, height: 1 };
          window.width += c % (width - window.left);
          window.height += d % (height - window.top);
          const image = pattern(w, h, true);
          const whole = resizeBicubic(image, { width, height });
          expect(resizeBicubic(image, { width, height, window })).toEqual(crop(whole, window));
        },
      ),
    );
  });

  it("leaves one colour as it is", () => {
    const edge = fc.integer({ min: 1, max: 300 });
    fc.assert(
      fc.property(edge, edge, edge, edge, fc.integer({ min: 0, max: 255 }), (w, h, width, height, value) => {
        const image = { width: w, height: h, data: new Uint8Array(w * h * 3).fill(value) };
        expect(resizeBicubic(image, { width, height }).data.every((byte) => byte === value)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it("takes rows of any length", () => {
    const rows = { width: 2_000_000, height: 2, data: new Uint8Array(12_000_000).fill(77) };
    const { data } = resizeBicubic(rows, { width: 2_000_000, height: 1 });
    expect(data.length).toBe(6_000_000);
    expect(data.every((byte) => byte === 77)).toBe(true);
  });
});

function crop(
  image: RgbImage,
  window: { left: number; top: number; width: number; height: number },
): RgbImage {
  const { left, top, width, height } = window;
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(from, from + width * 3), y * width * 3);
  }
  return { width, height, data };
}
