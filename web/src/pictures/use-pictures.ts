import { useCallback, useState } from "react";
import { type Failure, failureOf } from "../captioning/caption.js";
import { fetchPicture } from "../captioning/server.js";
import { nameOfAddress, openPicture, type Picture } from "./picture.js";

export interface Pictures {
  readonly pictures: readonly Picture[];
  /** What went wrong with the last address. */
  readonly failure: Failure | undefined;
  addFiles(files: readonly File[]): Promise<void>;
  addBlob(blob: Blob, name: string): Promise<void>;
  /** @returns whether a picture came */
  addAddress(address: string): Promise<boolean>;
  remove(id: string): void;
  clear(): void;
}

/** The pictures on the page, the newest first. */
export function usePictures(key: string | undefined): Pictures {
  const [pictures, setPictures] = useState<readonly Picture[]>([]);
  const [failure, setFailure] = useState<Failure>();

  const add = useCallback(async (files: readonly { blob: Blob; name: string }[]) => {
    const opened = await Promise.all(files.map(({ blob, name }) => openPicture(blob, name)));
    setPictures((before) => [...opened, ...before]);
  }, []);
  const addFiles = useCallback(
    (files: readonly File[]) => add(files.map((file) => ({ blob: file, name: file.name || "picture" }))),
    [add],
  );
  const addBlob = useCallback((blob: Blob, name: string) => add([{ blob, name }]), [add]);
  const addAddress = useCallback(
    async (address: string) => {
      setFailure(undefined);
      try {
        await addBlob(await bytesOf(address, key), nameOfAddress(address));
        return true;
      } catch (error) {
        setFailure(failureOf(error));
        return false;
      }
    },
    [addBlob, key],
  );
  const remove = useCallback(
    (id: string) =>
      setPictures((before) =>
        before.filter((picture) => {
          if (picture.id === id) URL.revokeObjectURL(picture.src);
          return picture.id !== id;
        }),
      ),
    [],
  );
  const clear = useCallback(
    () =>
      setPictures((before) => {
        for (const { src } of before) URL.revokeObjectURL(src);
        return [];
      }),
    [],
  );
  return { pictures, failure, addFiles, addBlob, addAddress, remove, clear };
}

/** The page may read its own site and data URLs; of others it asks the server. */
async function bytesOf(address: string, key: string | undefined): Promise<Blob> {
  const { origin, protocol } = new URL(address, document.baseURI);
  if (protocol !== "data:" && origin !== location.origin) return fetchPicture(address, key);
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return response.blob();
}
