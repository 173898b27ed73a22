import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { LingolensError } from "../../errors.js";
import { openNativeLibrary } from "../../native-library.js";

/** The library's versions 2 and 3, by the names that its makers give them. */
const NAMES = ["libdnnl.so.2", "libdnnl.so.3"];
/** Such files, by other names as well: Debian 13 has libdnnl.so.3.6. */
const FILE = /^libdnnl\.so\.[23](\.\d+)*$/;

/** dlopen's flag: all symbols are looked up now. */
const RTLD_NOW = 2;

/**
 * How often a thread of OpenMP looks for its next part before it sleeps, some 50 µs: the next product of a program
 * comes sooner, and ONNX Runtime's threads, which work between products, need the processors when it does not.
 */
const SPIN_COUNT = "20000";

/** The address of a function of a library or of one that it uses; null where there is none. */
export type Symbols = (name: string) => bigint | null;

type CFunction = ReturnType<ReturnType<typeof openNativeLibrary>["func"]>;

/** For each name the result and parameters, in koffi's spelling. */
export type Signatures = Readonly<Record<string, readonly [result: string, parameters: readonly string[]]>>;

/**
 * Opens oneDNN for the life of the process: the file that LINGOLENS_ONEDNN names, or where the system has it. Not by
 * koffi, which unloads its libraries when the process ends: threads of OpenMP wait in this one's code until then, and
 * would crash.
 * @throws {LingolensError} `engine-unavailable` where there is none, or one that cannot be loaded
 */
export function openOneDnn(): Symbols {
  if (process.platform !== "linux")
    throw unavailable(`it is looked for on Linux only, and this is ${process.platform}`);
  const c = openNativeLibrary(null);
  const dlopen = c.func("void* dlopen(str, int)");
  const dlsym = c.func("void* dlsym(void*, str)");
  const dlerror = c.func("str dlerror()");
  const { LINGOLENS_ONEDNN: named, GOMP_SPINCOUNT: spinCount } = process.env;
  const failures: string[] = [];
  // GNU's OpenMP reads it when it is loaded; programs that this one starts need not hear of it.
  process.env.GOMP_SPINCOUNT = spinCount ?? SPIN_COUNT;
  try {
    for (const path of named ? [named] : [...NAMES, ...installedFiles()]) {
      refuseCutOff(path);
      const library: bigint | null = dlopen(path, RTLD_NOW);
      if (library !== null) return (name) => dlsym(library, name);
      failures.push(dlerror() ?? `${path} cannot be opened`);
    }
  } finally {
    if (spinCount === undefined) delete process.env.GOMP_SPINCOUNT;
  }
  throw unavailable(failures.join("; "));
}

/** Where dlopen looks for a file of which only the name is known, first LD_LIBRARY_PATH. */
const FOLDERS = [
  "/lib/x86_64-linux-gnu",
  "/usr/lib/x86_64-linux-gnu",
  "/lib64",
  "/usr/lib64",
  "/lib",
  "/usr/lib",
  "/usr/local/lib",
];

const searchedFolders = () => [...(process.env.LD_LIBRARY_PATH ?? "").split(":").filter(Boolean), ...FOLDERS];

function installedFiles(): string[] {
  return searchedFolders()
    .filter((folder) => existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => FILE.test(name))
        .sort()
        .map((name) => join(folder, name)),
    );
}

/** Refuses a library that ends too early, such as one of a copy that was broken off: opening it would end the process. */
function refuseCutOff(library: string): void {
  const paths = library.includes("/") ? [library] : searchedFolders().map((folder) => join(folder, library));
  const path = paths.find((candidate) => existsSync(candidate));
  if (path === undefined) return;
  const file = openSync(path, "r");
  try {
    const header = Buffer.alloc(ELF_HEADER);
    readSync(file, header, 0, ELF_HEADER, 0);
    if (header.readUInt32BE(0) !== ELF_MAGIC) return; // dlopen says so
    // The table of sections is the last part: e_shoff, e_shentsize and e_shnum of elf.h's Elf64_Ehdr.
    const end = Number(header.readBigUInt64LE(0x28)) + header.readUInt16LE(0x3a) * header.readUInt16LE(0x3c);
    const { size } = fstatSync(file);
    if (size < end) throw unavailable(`${path} has ${size} bytes of at least ${end}: it is cut off`);
  } finally {
    closeSync(file);
  }
}

const ELF_HEADER = 64;
const ELF_MAGIC = 0x7f454c46;

/** @throws {LingolensError} `engine-unavailable` where one of the functions is missing */
export function bindFunctions<T extends Signatures>(
  symbols: Symbols,
  signatures: T,
): Readonly<Record<keyof T, CFunction>> {
  const bound = Object.entries(signatures).map(([name, [result, parameters]]) => {
    const address = symbols(name);
    if (address === null) throw unavailable(`it has no function ${name}`);
    return [name, koffi.decode(address, koffi.proto(result, [...parameters]))];
  });
  return Object.fromEntries(bound);
}

export function unavailable(reason: string): LingolensError {
  return new LingolensError(
    "engine-unavailable",
    `Products in bf16 need the library oneDNN (Debian 12: apt-get install libdnnl2, Debian 13: libdnnl3.6), which cannot be used: ${reason}.`,
  );
}
