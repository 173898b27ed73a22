/**
 * TensorBoard's events as bytes: records (tensorflow/core/lib/io/record_writer.h) of `Event` messages
 * (tensorboard/compat/proto/event.proto, summary.proto, tensor.proto, whose field numbers these are).
 */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { crc32c } from "./crc32c.js";

/** What is shown under a tag. */
export type Summary = Scalar | Text | Picture;

export interface Scalar {
  readonly tag: string;
  readonly scalar: number;
}

export interface Text {
  readonly tag: string;
  /** Markdown. */
  readonly text: string;
}

export interface Picture {
  readonly tag: string;
  readonly png: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** The first record of a file. */
export function fileVersion(wallTime: number): Uint8Array {
  return record(event(wallTime).uint32(field(3, WireType.LengthDelimited)).string("brain.Event:2"));
}

/** Says that what was written for `step` and the steps after it, in this file or in earlier ones, is void. */
export function startsAt(wallTime: number, step: number): Uint8Array {
  const started = new BinaryWriter().uint32(field(1, WireType.Varint)).int32(1);
  return record(atStep(wallTime, step).uint32(field(7, WireType.LengthDelimited)).bytes(started.finish()));
}

/** @param wallTime seconds since 1970 */
export function summaries(wallTime: number, step: number, values: readonly Summary[]): Uint8Array {
  const summary = new BinaryWriter();
  for (const value of values) message(summary, 1, summaryValue(value));
  return record(message(atStep(wallTime, step), 5, summary));
}

function summaryValue(summary: Summary): BinaryWriter {
  const value = new BinaryWriter().uint32(field(1, WireType.LengthDelimited)).string(summary.tag);
  if ("scalar" in summary) return value.uint32(field(2, WireType.Bit32)).float(summary.scalar);
  if ("png" in summary) return message(value, 4, image(summary));
  return message(message(value, 8, textTensor(summary.text)), 9, textPlugin());
}

function image({ png, width, height }: Picture): BinaryWriter {
  const RGB = 3;
  return new BinaryWriter()
    .uint32(field(1, WireType.Varint))
    .int32(height)
    .uint32(field(2, WireType.Varint))
    .int32(width)
    .uint32(field(3, WireType.Varint))
    .int32(RGB)
    .uint32(field(4, WireType.LengthDelimited))
    .bytes(png);
}

function textPlugin(): BinaryWriter {
  const name = new BinaryWriter().uint32(field(1, WireType.LengthDelimited)).string("text");
  const CLASS_TENSOR = 2;
  return message(new BinaryWriter(), 1, name).uint32(field(4, WireType.Varint)).int32(CLASS_TENSOR);
}

/** A tensor of one string. */
function textTensor(text: string): BinaryWriter {
  const DT_STRING = 7;
  const one = new BinaryWriter().uint32(field(1, WireType.Varint)).int64(1);
  const tensor = new BinaryWriter().uint32(field(1, WireType.Varint)).int32(DT_STRING);
  return message(tensor, 2, message(new BinaryWriter(), 2, one))
    .uint32(field(8, WireType.LengthDelimited))
    .bytes(new TextEncoder().encode(text));
}

const event = (wallTime: number): BinaryWriter =>
  new BinaryWriter().uint32(field(1, WireType.Bit64)).double(wallTime);

const atStep = (wallTime: number, step: number): BinaryWriter =>
  event(wallTime).uint32(field(2, WireType.Varint)).int64(step);

const field = (number: number, type: WireType): number => (number << 3) | type;

function message(writer: BinaryWriter, number: number, content: BinaryWriter): BinaryWriter {
  return writer.uint32(field(number, WireType.LengthDelimited)).bytes(content.finish());
}

/** Length, its checksum, content, its checksum. */
function record(content: BinaryWriter): Uint8Array {
  const bytes = content.finish();
  const framed = new Uint8Array(bytes.length + 16);
  const view = new DataView(framed.buffer);
  view.setBigUint64(0, BigInt(bytes.length), true);
  view.setUint32(8, masked(crc32c(framed.subarray(0, 8))), true);
  framed.set(bytes, 12);
  view.setUint32(12 + bytes.length, masked(crc32c(bytes)), true);
  return framed;
}

/** Checksums are masked, as records may hold checksummed records (tensorflow/core/lib/hash/crc32c.h). */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
