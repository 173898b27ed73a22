import { useEffect, useRef } from "react";
import type { View } from "../captioning/caption.js";
import { areaSeen, heatMap } from "../words/heat.js";

/** Red, green, blue of what was looked at most, and of the veil over the rest. */
const LIGHT = [255, 176, 46] as const;
const VEIL = [12, 16, 22] as const;

/** Where a word looked: the picture stays clear and glows there, and is veiled elsewhere. */
export function HeatMap({
  attention,
  view,
  picture,
}: {
  readonly attention: readonly number[];
  readonly view: View;
  readonly picture: { readonly width: number; readonly height: number };
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const { side, values } = heatMap(attention);
    const image = new ImageData(side, side);
    values.forEach((value, i) => {
      // A few patches get most of the attention: the root lets others be seen too. The veil thins out as light comes in.
      const seen = Math.sqrt(value);
      const veil = 0.7 * (1 - seen) ** 1.5;
      const light = 0.55 * seen ** 3;
      const alpha = veil + light * (1 - veil);
      for (let channel = 0; channel < 3; channel++) {
        const mixed = VEIL[channel]! * veil + LIGHT[channel]! * light * (1 - veil);
        image.data[i * 4 + channel] = alpha > 0 ? mixed / alpha : 0;
      }
      image.data[i * 4 + 3] = alpha * 255;
    });
    canvas.current!.width = canvas.current!.height = side;
    canvas.current!.getContext("2d")!.putImageData(image, 0, 0);
  }, [attention]);
  const { left, top, width, height } = areaSeen(view, picture);
  const percent = (share: number): string => `${share * 100}%`;
  return (
    <canvas
      ref={canvas}
      className="heat-map"
      style={{ left: percent(left), top: percent(top), width: percent(width), height: percent(height) }}
    />
  );
}
