import type { Pack } from "tar-stream";

/** Adds a file to a tar file, without time or owner: the same content gives the same bytes, whenever it is written. */
export async function addFile(archive: Pack, name: string, content: Uint8Array | string): Promise<void> {
  const bytes =
    typeof content === "string"
      ? Buffer.from(content)
      : Buffer.from(content.buffer, content.byteOffset, content.length);
  await new Promise<void>((resolve, reject) =>
    archive.entry({ name, size: bytes.length, mtime: new Date(0), mode: 0o644 }, bytes, (error) =>
      error ? reject(error) : resolve(),
    ),
  );
}
