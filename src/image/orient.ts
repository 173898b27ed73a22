import type { RgbImage } from "./pixels.js";

/**
 * Turns stored pixels upright by the EXIF Orientation tag (EXIF 2.3, tag 0x0112), as PIL's `ImageOps.exif_transpose`:
 * 1 upright, 2 mirrored, 3 half turn, 4 flipped, 5 transposed, 6 needs a quarter turn clockwise, 7 transversed,
 * 8 needs a quarter turn anticlockwise. Any other value leaves the picture as it is.
 */
export function orient(image: RgbImage, orientation: number): RgbImage {
  if (!(orientation >= 2 && orientation <= 8)) return image;
  const { width, height, data } = image;
  const swapsAxes = orientation >= 5;
  const mirrorsX = [2, 3, 7, 8].includes(orientation);
  const mirrorsY = [3, 4, 6, 7].includes(orientation);

  // The upright picture is read off the stored one: `across` a step right and `down` a step down in the former.
  const start = ((mirrorsY ? height - 1 : 0) * width + (mirrorsX ? width - 1 : 0)) * 3;
  const stepX = mirrorsX ? -3 : 3;
  const stepY = (mirrorsY ? -width : width) * 3;
  const [across, down] = swapsAxes ? [stepY, stepX] : [stepX, stepY];
  const upright = swapsAxes ? { width: height, height: width } : { width, height };

  const out = new Uint8Array(data.length);
  let to = 0;
  for (let y = 0; y < upright.height; y++) {
    let from = start + y * down;
    for (let x = 0; x < upright.width; x++, from += across) {
      out[to++] = data[from]!;
      out[to++] = data[from + 1]!;
      out[to++] = data[from + 2]!;
    }
  }
  return { ...upright, data: out };
}
