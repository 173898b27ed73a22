import { type Dimension, evaluateDimension, termsOf } from "../../graph/shape.js";
import { parameterOp, type Tensor } from "../../graph/tensor.js";
import type { Operand } from "./operands.js";
import type { Partition, Step } from "./partition.js";
import type { ProductStep } from "./products.js";

/** Fewer rows lose more by the number of products than they gain. */
const MIN_ROWS = 32;

/** Up to this many columns of its first matrix oneDNN sums within the matrix units; of more it adds up parts in memory. */
const WIDTH = 1024;

/**
 * The same, with products in parts where a wide result is read by the next product alone, as in a layer's MLP: some columns at a
 * time, which are still in the caches when they are multiplied on and added. Pictures' layers gain a tenth, and more where there
 * are many. For weights that are packed, which the parts are, and for rows that are many however few the pictures.
 */
export function inParts(partition: Partition): Partition {
  const steps: Step[] = [];
  const results = new Set(partition.results.values());
  for (let i = 0; i < partition.steps.length; i++) {
    const [first, second] = partition.steps.slice(i, i + 2) as [Step, Step?];
    if (
      first.kind === "product" &&
      second?.kind === "product" &&
      mayBeInParts(first, second) &&
      !results.has(first.out)
    ) {
      const others = partition.steps.filter((step) => step !== second && reads(step, first.out));
      if (others.length === 0) {
        steps.push(...partsOf(first, second));
        i++;
        continue;
      }
    }
    steps.push(first);
  }
  return { ...partition, steps };
}

function mayBeInParts(first: ProductStep, second: ProductStep): boolean {
  const width = second.a.columns;
  return (
    typeof width === "number" &&
    leastOf(first.a.rows) >= MIN_ROWS &&
    width > WIDTH &&
    width % WIDTH === 0 &&
    second.a.source === first.out &&
    !second.a.transposed &&
    first.b.columns === width &&
    [first.b.source, second.b.source, first.bias].every((one) => !one || one.node.op === parameterOp) &&
    first.addend === undefined &&
    second.factor === undefined &&
    second.activation === undefined &&
    !second.rounded
  );
}

/** A size where all that it is made of are 1. */
function leastOf(dimension: Dimension): number {
  if (typeof dimension === "number") return dimension;
  const names = termsOf(dimension).flatMap((term) => term.names);
  return evaluateDimension(dimension, new Map(names.map((name) => [name, 1])));
}

function reads(step: Step, tensor: Tensor): boolean {
  if (step.kind === "segment") return step.inputs.some(({ source }) => source === tensor);
  if (step.kind !== "product") return step.source === tensor;
  return [step.a.source, step.b.source, step.bias, step.addend].includes(tensor);
}

function partsOf(first: ProductStep, second: ProductStep): ProductStep[] {
  const starts = Array.from({ length: (second.a.columns as number) / WIDTH }, (_, i) => i * WIDTH);
  return starts.flatMap((start) => {
    const out: Tensor = { ...first.out, shape: [first.a.rows, WIDTH] };
    const added = start > 0;
    return [
      { ...first, b: partOf(first.b, "columns", start), biasFrom: start, out },
      {
        ...second,
        a: { ...second.a, source: out, columns: WIDTH },
        b: partOf(second.b, "rows", start),
        bias: added ? undefined : second.bias,
        addend: added ? second.out : second.addend,
      },
    ];
  });
}

function partOf(operand: Operand, axis: "rows" | "columns", start: number): Operand {
  const { rows, columns } = operand as Operand & { rows: number; columns: number };
  return { ...operand, [axis]: WIDTH, part: { axis, start, of: { rows, columns } } };
}
