import { LingolensError } from "../errors.js";

/** The release that is used: the npm package that carries the library, and the library's own version. */
export const ONNXRUNTIME_PACKAGE = "onnxruntime-node";
export const ONNXRUNTIME_VERSION = "1.30.0";

export interface ReleaseFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** What one platform needs of the package. */
export interface Release {
  /** Folder of the files within the package. */
  readonly folder: string;
  /** The library first, then what it loads from beside it. */
  readonly files: readonly [ReleaseFile, ...ReleaseFile[]];
}

const file = (name: string, bytes: number, sha256: string): ReleaseFile => ({ name, bytes, sha256 });

/** By `${process.platform}-${process.arch}`. Sizes and digests were taken from the package on the npm registry. */
const RELEASES: Readonly<Record<string, Release>> = {
  "linux-x64": {
    folder: "bin/napi-v6/linux/x64",
    files: [
      file(
        "libonnxruntime.so.1",
        45828512,
        "ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23",
      ),
    ],
  },
  "linux-arm64": {
    folder: "bin/napi-v6/linux/arm64",
    files: [
      file(
        "libonnxruntime.so.1",
        25135496,
        "1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76",
      ),
    ],
  },
  "darwin-arm64": {
    folder: "bin/napi-v6/darwin/arm64",
    files: [
      file(
        "libonnxruntime.1.dylib",
        44589928,
        "685d2be5dba1309c89d3a5324b7fd06a5c42f1a61bfea32d14c4cc28d072121d",
      ),
    ],
  },
  "win32-x64": {
    folder: "bin/napi-v6/win32/x64",
    files: [
      file("onnxruntime.dll", 28754232, "508c362f5673483dd3a086379c392795b2e42d10d5e6f3f90ebd7ac21c97af67"),
      file("DirectML.dll", 18527584, "234e8898778cdec88d3cb0539508273494082812c968699f3de665a018971625"),
      file("dxcompiler.dll", 17986360, "593d42df78c7f9cbd97c1374af107cfe20985759f98b77afc1448fe41ee3cc76"),
      file("dxil.dll", 1508664, "cf9a3981263f8ec30c9905d136eeaf4b4573209c602198671b958ec86905dea8"),
    ],
  },
  "win32-arm64": {
    folder: "bin/napi-v6/win32/arm64",
    files: [
      file("onnxruntime.dll", 29815136, "6c3a2abf5c6aca11c48a0d338a91af309f2266f25ce2e4084e6a87bbcb0fbfd0"),
      file("DirectML.dll", 18444600, "aaf72a9d55aa123e0708d957d30dd4fbeb7a2e335ec6257ed5ff4261a402b9ee"),
      file("dxcompiler.dll", 22285624, "442a995492579e1048cf1f05a86ab00f476c46b7f9d0996e588884040a543bbe"),
      file("dxil.dll", 1769784, "859b6d638c5ca3df39e9cab2a602cb0f63d0e63d750f84bb2a9ec9031319b73e"),
    ],
  },
};

/** A machine as far as the library's choice depends on it. */
export interface Machine {
  readonly platform: string;
  readonly arch: string;
  /** Whether a Linux machine's C library is glibc, as the published builds want. */
  readonly glibc: boolean;
}

/** The machine that this process runs on. */
export function thisMachine(): Machine {
  const { platform, arch } = process;
  return { platform, arch, glibc: platform === "linux" && runsOnGlibc() };
}

function runsOnGlibc(): boolean {
  // Without `excludeNetwork` the report would look up the names of every open connection.
  const report = process.report as unknown as {
    excludeNetwork: boolean;
    getReport(): { header: { glibcVersionRuntime?: string } };
  };
  report.excludeNetwork = true;
  const { header } = report.getReport();
  return header.glibcVersionRuntime !== undefined;
}

/** @throws {LingolensError} `engine-unavailable` where there is no build for the machine */
export function releaseFor({ platform, arch, glibc }: Machine): Release {
  const release = RELEASES[`${platform}-${arch}`];
  if (release && (platform !== "linux" || glibc)) return release;
  const got = `${platform}-${arch}${release ? " with another C library than glibc, such as Alpine's musl" : ""}`;
  throw new LingolensError(
    "engine-unavailable",
    `ONNX Runtime ${ONNXRUNTIME_VERSION} is published for ${Object.keys(RELEASES).join(", ")} (Linux with glibc); ` +
      `this is ${got}. Use one of those, or set LINGOLENS_ONNXRUNTIME to a build of its shared library for this machine.`,
  );
}
