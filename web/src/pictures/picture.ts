/** A picture on the page. */
export interface Picture {
  readonly id: string;
  readonly name: string;
  readonly blob: Blob;
  /** For an `img`, until the picture is removed. */
  readonly src: string;
  /** Of what the browser can decode. */
  readonly size?: { readonly width: number; readonly height: number };
}

let count = 0;

/** A picture file that was given; one that the browser cannot decode may still be the server's to read. */
export async function openPicture(blob: Blob, name: string): Promise<Picture> {
  const bitmap = await createImageBitmap(blob).catch(() => undefined);
  const size = bitmap && { width: bitmap.width, height: bitmap.height };
  bitmap?.close();
  const id = `${Date.now().toString(36)}-${count++}`;
  return { id, name, blob, src: URL.createObjectURL(blob), ...(size && { size }) };
}

/** A small JPEG as a data URL: what the history keeps of a picture. */
export async function thumbnailOf(blob: Blob, edge: number): Promise<string | undefined> {
  const bitmap = await createImageBitmap(blob).catch(() => undefined);
  if (!bitmap) return undefined;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = edge;
  const scale = edge / Math.min(bitmap.width, bitmap.height);
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  const context = canvas.getContext("2d")!;
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (edge - width) / 2, (edge - height) / 2, width, height);
  bitmap.close();
  return canvas.toDataURL("image/jpeg", 0.75);
}

/** Picture files among what was dropped or pasted. */
export function picturesIn(data: DataTransfer | null): File[] {
  return [...(data?.files ?? [])].filter(({ type }) => type.startsWith("image/"));
}

/** An address among what was dropped or pasted. */
export function addressIn(data: DataTransfer | null): string | undefined {
  const text = (data?.getData("text/uri-list") || data?.getData("text/plain") || "").trim();
  return /^(https?:\/\/|data:image\/)\S+$/i.test(text) ? text : undefined;
}

/** The last part of an address, which is as good as a file's name. */
export function nameOfAddress(address: string): string {
  if (address.startsWith("data:")) return "picture";
  const { pathname, hostname } = new URL(address);
  return decodeURIComponent(pathname.split("/").findLast((part) => part !== "") ?? hostname);
}
