import { readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { defaultClientConditions, defineConfig, type Plugin } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));
const runtime = join(root, "node_modules", "onnxruntime-web");
const runtimeVersion: string = JSON.parse(readFileSync(join(runtime, "package.json"), "utf8")).version;
/** Below the page; its name says the version, so that its files never change. */
const engineFolder = `assets/onnxruntime-web-${runtimeVersion}/`;

/** ONNX Runtime's own files for WebAssembly alone and for WebGPU, which it loads by their names. */
const RUNTIME_FILES = ["ort-wasm-simd-threaded", "ort-wasm-simd-threaded.asyncify"].flatMap((name) => [
  `${name}.mjs`,
  `${name}.wasm`,
]);

function emitRuntime(): Plugin {
  return {
    name: "onnxruntime-web",
    async generateBundle() {
      for (const name of RUNTIME_FILES)
        this.emitFile({
          type: "asset",
          fileName: engineFolder + name,
          source: await readFile(join(runtime, "dist", name)),
        });
    },
  };
}

/** The package's examples, and small versions of them: the large ones would be most of the first load. */
function emitExamples(): Plugin {
  return {
    name: "examples",
    async generateBundle() {
      const folder = join(root, "examples");
      for (const name of (await readdir(folder)).filter((name) => name.endsWith(".png"))) {
        const picture = await readFile(join(folder, name));
        const small = await sharp(picture).resize(160, 160).webp({ quality: 70 }).toBuffer();
        this.emitFile({ type: "asset", fileName: `examples/${name}`, source: picture });
        const smallName = `examples/small/${name.replace(".png", ".webp")}`;
        this.emitFile({ type: "asset", fileName: smallName, source: small });
      }
    },
  };
}

/** Packages whose code is in what is built. */
const BUNDLED = ["react", "react-dom", "scheduler", "onnxruntime-web", "zod", "@bufbuild/protobuf"];

/** Their licences ask to be told of wherever their code goes. */
function emitLicenses(): Plugin {
  return {
    name: "licenses",
    async generateBundle() {
      const notices = BUNDLED.map(async (name) => {
        const folder = join(root, "node_modules", name);
        const { version, license, repository } = JSON.parse(
          await readFile(join(folder, "package.json"), "utf8"),
        );
        const text = await readFile(join(folder, "LICENSE"), "utf8").catch(() => repository.url);
        return `${name} ${version}, ${license}\n\n${text.trim()}\n`;
      });
      const source = (await Promise.all(notices)).join(`\n${"-".repeat(80)}\n\n`);
      this.emitFile({ type: "asset", fileName: "licenses.txt", source });
    },
  };
}

/** Tells the service worker what there is to keep: all but ONNX Runtime's files, which are kept once they are used. */
function listShell(): Plugin {
  return {
    name: "service-worker",
    enforce: "post",
    generateBundle(_, bundle) {
      const files = Object.keys(bundle).filter(
        (name) => name !== "sw.js" && name !== "index.html" && !name.startsWith(engineFolder),
      );
      const shell = JSON.stringify(["./", "icon.svg", "manifest.webmanifest", ...files]);
      const worker = bundle["sw.js"];
      if (worker?.type !== "chunk") this.error("The service worker was not built.");
      worker.code = `const SHELL=${shell},ENGINE=${JSON.stringify(engineFolder)};\n${worker.code}`;
    },
  };
}

export default defineConfig({
  root: join(root, "web"),
  // Works below any path of a proxy.
  base: "./",
  define: { ENGINE_FOLDER: JSON.stringify(engineFolder) },
  resolve: {
    alias: { "lingolens/browser": join(root, "src", "browser.ts") },
    conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions],
  },
  plugins: [emitRuntime(), emitExamples(), emitLicenses(), listShell()],
  worker: { format: "es" },
  build: {
    outDir: join(root, "dist", "web"),
    emptyOutDir: true,
    // 250 kB compressed is the bound of the page, and a test holds it; the worker's chunk may be larger.
    chunkSizeWarningLimit: 1500,
    rolldownOptions: {
      input: { page: join(root, "web", "index.html"), sw: join(root, "web", "service-worker", "sw.ts") },
      output: {
        entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
      },
    },
  },
});
