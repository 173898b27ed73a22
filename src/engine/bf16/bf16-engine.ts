import { availableParallelism } from "node:os";
import type { Program } from "../../graph/onnx.js";
import type { Pointer } from "../../native-library.js";
import type { CompileOptions, EncodedProgram, Engine, Executable, ReadConstant } from "../engine.js";
import { createNativeEngine, createSession, nativeRuntime, type Runtime } from "../native.js";
import { OneDnnApi } from "../onednn/onednn-api.js";
import { Primitives } from "../onednn/primitives.js";
import type { LibraryOptions } from "../onnxruntime-library.js";
import { Bf16Executable } from "./bf16-executable.js";
import { CallThread, callFunctions } from "./call-thread.js";
import { Constants } from "./constants.js";
import { type Partition, partition } from "./partition.js";
import { inParts } from "./wide-products.js";

/** What the engines of one process share. It stays for the life of the process. */
let oneDnn: OneDnnApi | undefined;
let arenaOf: Runtime | undefined;

/** ONNX Runtime has threads of its own for each session, and a program has some sixty. */
const SEGMENT_THREADS = 16;

/** Segments run one after the other, and can work in the same memory. */
const SEGMENTS = { "session.use_env_allocators": "1" };

/**
 * An engine that computes products of matrices in bf16, by oneDNN on the processor's matrix units, with sums in float32; all else
 * in float32, by ONNX Runtime. Programs that come encoded already are the native engine's.
 * @throws {LingolensError} `engine-unavailable` where the processor has no products in bf16 or the system has no oneDNN
 */
export async function createBf16Engine(options: LibraryOptions = {}): Promise<Engine> {
  oneDnn ??= OneDnnApi.load();
  const api = oneDnn;
  const native = await createNativeEngine(options);
  const runtime = await nativeRuntime(options);
  if (arenaOf !== runtime) runtime.api.registerArena(runtime.env);
  arenaOf = runtime;
  const open = new Set<Bf16Executable>();
  const constantsOf = new WeakMap<ReadConstant, Constants>();

  /** Of the programs over the same weights together. */
  async function addConstants(parts: Partition, read: ReadConstant, threads: number): Promise<Constants> {
    const constants = constantsOf.get(read) ?? new Constants(api, read);
    constantsOf.set(read, constants);
    const thread = new CallThread(callFunctions(runtime.api, api), threads);
    try {
      await constants.add(parts, thread);
    } finally {
      await thread.close();
    }
    return constants;
  }

  async function compileGraph(
    program: Program,
    { threads = availableParallelism(), constants: read }: CompileOptions = {},
  ): Promise<Executable> {
    const parts = read ? inParts(partition(program)) : partition(program);
    const constants = read && (await addConstants(parts, read, threads));
    const sessions = new Map<EncodedProgram, Pointer>();
    try {
      for (const step of parts.steps)
        if (step.kind === "segment" && !sessions.has(step.program))
          sessions.set(
            step.program,
            await createSession(
              runtime,
              step.program,
              { threads: Math.min(threads, SEGMENT_THREADS) },
              SEGMENTS,
            ),
          );
    } catch (error) {
      for (const session of sessions.values()) runtime.api.releaseSession(session);
      throw error;
    }
    const executable = new Bf16Executable(
      {
        runtime: runtime.api,
        memory: runtime.cpu,
        oneDnn: api,
        primitives: new Primitives(api, threads),
        partition: parts,
        sessions,
        constants,
      },
      threads,
      program,
    );
    open.add(executable);
    executable.onClose = () => open.delete(executable);
    return executable;
  }

  return {
    ...native,
    description: `${native.description}; products in bf16 by oneDNN ${api.version}`,
    compileGraph,
    async close() {
      await Promise.all([...open].map((executable) => executable.close()));
      await native.close();
    },
  };
}
