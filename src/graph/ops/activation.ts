import { define, type Tensor } from "../tensor.js";
import { add, erf, exp, multiply, sigmoid } from "./elementwise.js";

const geluOp = define<null>({
  name: "gelu",
  infer: ([x]) => [x!],
  lower: (onnx, inputs) => onnx.emit("Gelu", inputs),
  // With Φ and φ the normal distribution and its density: d(x·Φ(x))/dx = Φ(x) + x·φ(x).
  gradient: ({ inputs }, [dy]) => {
    const x = inputs[0]!;
    const distribution = multiply(0.5, add(1, erf(multiply(x, Math.SQRT1_2))));
    const density = multiply(1 / Math.sqrt(2 * Math.PI), exp(multiply(-0.5, multiply(x, x))));
    return [multiply(dy!, add(distribution, multiply(x, density)))];
  },
});

/** x·Φ(x), exact (Hendrycks & Gimpel 2016): mBART's activation. */
export function gelu(x: Tensor): Tensor {
  return geluOp([x], null);
}

/** x·σ(1.702·x): CLIP's activation. */
export function quickGelu(x: Tensor): Tensor {
  return multiply(x, sigmoid(multiply(x, 1.702)));
}
