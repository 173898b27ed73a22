/** Tar files that do not depend on when they are written: the same content gives the same bytes. */
import { type Pack, pack } from "tar-stream";
import { writeFileAtomically } from "../../weights/atomic-file.js";

/** Adds a file, without time or owner. */
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

/** Writes a tar file, whole or not at all. What `fill` throws is passed on. */
export async function writeTarFile(path: string, fill: (archive: Pack) => Promise<void>): Promise<void> {
  await writeFileAtomically(path, async (file) => {
    const archive = pack();
    // A failure to fill ends the reading, and is the error to tell.
    fill(archive).then(
      () => archive.finalize(),
      (error) => archive.destroy(error),
    );
    for await (const chunk of archive as AsyncIterable<Uint8Array>) await file.write(chunk);
  });
}
