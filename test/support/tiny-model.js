import { fileURLToPath } from "node:url";
import { openSafetensors, readTensor } from "../../src/weights/safetensors.js";
/** Hugging Face's outputs for a tiny model; see test/fixtures/README.md. */
export const tinyModel = fileURLToPath(new URL("../fixtures/tiny-model/", import.meta.url));
/** All float32 and int64 tensors of a file, as they are fed. */
export async function readTensors(path) {
    const file = await openSafetensors(path);
    const tensors = new Map();
    for (const name of file.header.tensors.keys()) {
        const { dtype, shape, data } = await readTensor(file, name);
        if (dtype === "F32")
            tensors.set(name, { dtype: "float32", shape, data: data });
        if (dtype === "I64")
            tensors.set(name, { dtype: "int64", shape, data: data });
    }
    return tensors;
}
export function maxAbsoluteDifference(a, b) {
    let worst = a.length === b.length ? 0 : Number.POSITIVE_INFINITY;
    for (let i = 0; i < a.length; i++)
        worst = Math.max(worst, Math.abs(a[i] - b[i]));
    return worst;
}
export function maxAbsolute(a) {
    let largest = 0;
    for (let i = 0; i < a.length; i++)
        largest = Math.max(largest, Math.abs(a[i]));
    return largest;
}
//# sourceMappingURL=tiny-model.js.map