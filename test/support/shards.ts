/** Shards and small pictures for tests of datasets. */
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import sharp from "sharp";
import { pack } from "tar-stream";

export type Members = readonly (readonly [name: string, content: string | Uint8Array])[];

export async function writeTar(path: string, members: Members): Promise<void> {
  const archive = pack();
  const written = pipeline(archive, createWriteStream(path));
  for (const [name, content] of members) archive.entry({ name }, Buffer.from(content));
  archive.finalize();
  await written;
}

/** A picture that is like that of no other number. */
export function jpeg(number: number, width = 48, height = 40): Promise<Buffer> {
  const data = Buffer.alloc(width * height * 3);
  for (let i = 0; i < data.length; i++)
    data[i] = (number * 37 + ((i / 3) % width) * ((number % 5) + 1) + (i % 3) * number) % 256;
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 92 })
    .toBuffer();
}
