import koffi from "koffi";
import { LingolensError } from "../../errors.js";
import type { Pointer } from "../../native-library.js";
import { type NativeLibrary, openNativeLibrary } from "../../native-library.js";
import { NativeThread } from "../../native-thread.js";

/**
 * The functions that are used, by the names and parameters of the MPI standard 3.1. A handle of Open MPI's, such as a
 * communicator, is a pointer; counts and displacements are of type int.
 */
const FUNCTIONS = {
  Init_thread: ["void*", "void*", "int", "void*"],
  Comm_rank: ["void*", "void*"],
  Comm_size: ["void*", "void*"],
  Comm_split_type: ["void*", "int", "int", "void*", "void*"],
  Comm_free: ["void*"],
  Allreduce: ["void*", "void*", "int", "void*", "void*", "void*"],
  Reduce_local: ["void*", "void*", "int", "void*", "void*"],
  Alltoallv: ["void*", "void*", "void*", "void*", "void*", "void*", "void*", "void*", "void*"],
  Allgather: ["void*", "int", "void*", "void*", "int", "void*", "void*"],
  Allgatherv: ["void*", "int", "void*", "void*", "void*", "void*", "void*", "void*"],
  Gatherv: ["void*", "int", "void*", "void*", "void*", "void*", "void*", "int", "void*"],
  Bcast: ["void*", "int", "void*", "int", "void*"],
  Barrier: ["void*"],
  Abort: ["void*", "int"],
  Finalize: [],
} as const satisfies Record<string, readonly string[]>;

/** What Open MPI's mpi.h makes of MPI_COMM_WORLD and its like: addresses of these. */
const HANDLES = {
  world: "ompi_mpi_comm_world",
  float: "ompi_mpi_float",
  double: "ompi_mpi_double",
  byte: "ompi_mpi_byte",
  sum: "ompi_mpi_op_sum",
  noInfo: "ompi_mpi_info_null",
} as const;

type CFunction = ReturnType<NativeLibrary["func"]>;

/** Open MPI's C library, 2 to 5, whose binary interface is one. */
export interface OpenMpiLibrary {
  /** What it was loaded as. */
  readonly name: string;
  readonly functions: Readonly<Record<keyof typeof FUNCTIONS, CFunction>>;
  readonly handles: Readonly<Record<keyof typeof HANDLES, Pointer>>;
  /** Never called, but kept. */
  readonly library: NativeLibrary;
}

/** A function and its arguments; arrays stand for where they lie. */
export type MpiCall = readonly [
  name: keyof typeof FUNCTIONS,
  ...args: (number | Pointer | ArrayBufferView | null)[],
];

/** A thread that makes calls of the library. What they return is not looked at: an error ends all ranks. */
export class MpiThread {
  readonly #thread: NativeThread;

  constructor({ library }: OpenMpiLibrary) {
    const functions = Object.entries(FUNCTIONS).map(([name, parameters]) => [
      name,
      { address: library.symbol(`MPI_${name}`), parameters },
    ]);
    this.#thread = new NativeThread(PROGRAM, { functions: Object.fromEntries(functions) });
  }

  /** Makes the calls one after the other. One list at a time. */
  async run(calls: readonly MpiCall[]): Promise<void> {
    const addressed = calls.map(([name, ...args]) => [
      name,
      ...args.map((argument) => (ArrayBuffer.isView(argument) ? koffi.address(argument) : argument)),
    ]);
    await this.#thread.ask(addressed);
    // Until here the calls keep their arrays from being collected.
    void calls;
  }

  close(): Promise<void> {
    return this.#thread.close();
  }
}

const PROGRAM = `
const functions = Object.fromEntries(Object.entries(workerData.functions).map(
  ([name, { address, parameters }]) => [name, bind(address, "int", parameters)]));
answer = (calls) => {
  for (const [name, ...args] of calls) functions[name](...args);
};`;

/**
 * Loads the library that LINGOLENS_MPI names, or else the first that is found under its usual names.
 * @throws {LingolensError} `mpi-unavailable`
 */
export function loadOpenMpi(environment: NodeJS.ProcessEnv = process.env): OpenMpiLibrary {
  const failures: string[] = [];
  for (const name of libraryNames(environment)) {
    try {
      return bind(name);
    } catch (error) {
      failures.push(`${name}: ${(error as Error).message}`);
    }
  }
  throw new LingolensError(
    "mpi-unavailable",
    "This process was started as one of several that train together, and Open MPI's library cannot be loaded. " +
      "Install Open MPI (on Debian: apt-get install openmpi-bin), or name its libmpi in LINGOLENS_MPI. " +
      `Tried: ${failures.join("; ")}.`,
  );
}

function libraryNames({ LINGOLENS_MPI: named, OPAL_PREFIX: prefix }: NodeJS.ProcessEnv): string[] {
  if (named) return [named];
  const file = process.platform === "darwin" ? "libmpi.40.dylib" : "libmpi.so.40";
  const folders =
    process.platform === "darwin" ? ["/opt/homebrew/lib", "/usr/local/lib"] : ["/usr/lib64/openmpi/lib"];
  return [file, ...[...(prefix ? [`${prefix}/lib`] : []), ...folders].map((folder) => `${folder}/${file}`)];
}

function bind(name: string): OpenMpiLibrary {
  // Its plugins look for its symbols among those of the process.
  const library = openNativeLibrary(name, { global: true });
  const functions = Object.entries(FUNCTIONS).map(([key, parameters]) => [
    key,
    library.func(`MPI_${key}`, "int", [...parameters]),
  ]);
  const handles = Object.entries(HANDLES).map(([key, symbol]) => [key, library.symbol(symbol)]);
  return { name, library, functions: Object.fromEntries(functions), handles: Object.fromEntries(handles) };
}
