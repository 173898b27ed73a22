/**
 * The file that SentencePiece trains: `sentencepiece.bpe.model`, `source.spm`. It is one protobuf message,
 * `ModelProto` of https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto, of which
 * everything that decides how text is encoded and decoded is read and written here.
 */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { LingolensError } from "../errors.js";

export type PieceType = "normal" | "unknown" | "control" | "user-defined" | "unused" | "byte";

export interface Piece {
  readonly text: string;
  /** Log-probability, a float32. */
  readonly score: number;
  readonly type: PieceType;
}

export type ModelType = "unigram" | "bpe" | "word" | "char";

export interface TrainerSpec {
  readonly modelType: ModelType;
  readonly treatWhitespaceAsSuffix: boolean;
  /** Unknown characters become the pieces of their UTF-8 bytes. */
  readonly byteFallback: boolean;
  /** What an unknown piece decodes to. */
  readonly unknownSurface: string;
}

export interface NormalizerSpec {
  readonly name: string;
  /** See `CharsMap`; empty where characters are taken as they are. */
  readonly precompiledCharsMap: Uint8Array;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
}

export interface SentencePieceModel {
  /** By id. */
  readonly pieces: readonly Piece[];
  readonly trainer: TrainerSpec;
  readonly normalizer: NormalizerSpec;
  /** Applied to decoded text. */
  readonly denormalizer?: NormalizerSpec;
}

/** The defaults that the protobuf schema gives to fields that a file leaves out. */
export const defaultTrainer: TrainerSpec = {
  modelType: "unigram",
  treatWhitespaceAsSuffix: false,
  byteFallback: false,
  unknownSurface: " \u2047 ",
};
export const defaultNormalizer: NormalizerSpec = {
  name: "",
  precompiledCharsMap: new Uint8Array(),
  addDummyPrefix: true,
  removeExtraWhitespaces: true,
  escapeWhitespaces: true,
};

// Positions are the numbers of the schema's enums; 0 is none.
const pieceTypes = [undefined, "normal", "unknown", "control", "user-defined", "unused", "byte"] as const;
const modelTypes = [undefined, "unigram", "bpe", "word", "char"] as const;

const fields = {
  model: { pieces: 1, trainer: 2, normalizer: 3, denormalizer: 5 },
  piece: { text: 1, score: 2, type: 3 },
  trainer: {
    modelType: 3,
    vocabularySize: 4,
    treatWhitespaceAsSuffix: 24,
    byteFallback: 35,
    unknownSurface: 44,
  },
  normalizer: {
    name: 1,
    precompiledCharsMap: 2,
    addDummyPrefix: 3,
    removeExtraWhitespaces: 4,
    escapeWhitespaces: 5,
  },
} as const;

// The C++ library refuses longer pieces.
const maximalPieceBytes = 8000;

/** @throws {LingolensError} `tokenizer-damaged` where the bytes are not a model that SentencePiece would load. */
export function readSentencePieceModel(bytes: Uint8Array): SentencePieceModel {
  let model: SentencePieceModel;
  try {
    model = readModel(new BinaryReader(bytes));
  } catch (error) {
    if (error instanceof LingolensError) throw error;
    throw damaged(`it is not the protobuf message of one (${(error as Error).message})`, error);
  }
  checkPieces(model.pieces);
  return model;
}

function readModel(reader: BinaryReader): SentencePieceModel {
  const pieces: Piece[] = [];
  let trainer = defaultTrainer;
  let normalizer = defaultNormalizer;
  let denormalizer: NormalizerSpec | undefined;
  readFields(reader, reader.len, (field, wire) => {
    if (field === fields.model.pieces) pieces.push(readPiece(reader, embeddedEnd(reader, wire)));
    else if (field === fields.model.trainer) trainer = readTrainer(reader, embeddedEnd(reader, wire));
    else if (field === fields.model.normalizer)
      normalizer = readNormalizer(reader, embeddedEnd(reader, wire));
    else if (field === fields.model.denormalizer)
      denormalizer = readNormalizer(reader, embeddedEnd(reader, wire));
    else return false;
    return true;
  });
  return { pieces, trainer, normalizer, ...(denormalizer && { denormalizer }) };
}

function readPiece(reader: BinaryReader, end: number): Piece {
  let text = "";
  let score = 0;
  let type: PieceType = "normal";
  readFields(reader, end, (field, wire) => {
    if (field === fields.piece.text) text = readString(reader, wire, maximalPieceBytes);
    else if (field === fields.piece.score) {
      expectWire(wire, WireType.Bit32);
      score = reader.float();
    } else if (field === fields.piece.type) type = readEnum(reader, wire, pieceTypes, "piece type");
    else return false;
    return true;
  });
  return { text, score, type };
}

function readTrainer(reader: BinaryReader, end: number): TrainerSpec {
  const spec: { -readonly [Key in keyof TrainerSpec]: TrainerSpec[Key] } = { ...defaultTrainer };
  readFields(reader, end, (field, wire) => {
    const { trainer } = fields;
    if (field === trainer.modelType) spec.modelType = readEnum(reader, wire, modelTypes, "model type");
    else if (field === trainer.treatWhitespaceAsSuffix) spec.treatWhitespaceAsSuffix = readBool(reader, wire);
    else if (field === trainer.byteFallback) spec.byteFallback = readBool(reader, wire);
    else if (field === trainer.unknownSurface) spec.unknownSurface = readString(reader, wire);
    else return false;
    return true;
  });
  return spec;
}

function readNormalizer(reader: BinaryReader, end: number): NormalizerSpec {
  const spec: { -readonly [Key in keyof NormalizerSpec]: NormalizerSpec[Key] } = { ...defaultNormalizer };
  readFields(reader, end, (field, wire) => {
    const { normalizer } = fields;
    if (field === normalizer.name) spec.name = readString(reader, wire);
    else if (field === normalizer.precompiledCharsMap) {
      expectWire(wire, WireType.LengthDelimited);
      spec.precompiledCharsMap = reader.bytes();
    } else if (field === normalizer.addDummyPrefix) spec.addDummyPrefix = readBool(reader, wire);
    else if (field === normalizer.removeExtraWhitespaces)
      spec.removeExtraWhitespaces = readBool(reader, wire);
    else if (field === normalizer.escapeWhitespaces) spec.escapeWhitespaces = readBool(reader, wire);
    else return false;
    return true;
  });
  return spec;
}

/** Hands every field up to `end` to `read`, and skips those for which it answers false. */
function readFields(
  reader: BinaryReader,
  end: number,
  read: (field: number, wire: WireType) => boolean,
): void {
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    if (!read(field, wire)) reader.skip(wire, field);
  }
  if (reader.pos !== end) throw damaged("a field reaches beyond the message that holds it");
}

function embeddedEnd(reader: BinaryReader, wire: WireType): number {
  expectWire(wire, WireType.LengthDelimited);
  const length = reader.uint32();
  if (length > reader.len - reader.pos) throw damaged("it ends in the middle of a message");
  return reader.pos + length;
}

function readString(reader: BinaryReader, wire: WireType, maximalBytes = reader.len): string {
  expectWire(wire, WireType.LengthDelimited);
  const start = reader.pos;
  const text = reader.string(true);
  if (reader.pos - start > maximalBytes) throw damaged(`a piece is longer than ${maximalBytes} bytes`);
  return text;
}

function readBool(reader: BinaryReader, wire: WireType): boolean {
  expectWire(wire, WireType.Varint);
  return reader.bool();
}

function readEnum<Value>(
  reader: BinaryReader,
  wire: WireType,
  values: readonly (Value | undefined)[],
  what: string,
): Value {
  expectWire(wire, WireType.Varint);
  const number = reader.int32();
  const value = values[number];
  if (value === undefined) throw damaged(`it has the ${what} ${number}, which does not exist`);
  return value;
}

function expectWire(found: WireType, expected: WireType): void {
  if (found !== expected) throw damaged(`a field has the wire type ${found} instead of ${expected}`);
}

function checkPieces(pieces: readonly Piece[]): void {
  const seen = new Set<string>();
  let unknown = 0;
  for (const [id, { text, score, type }] of pieces.entries()) {
    if (text === "") throw damaged(`piece ${id} is empty`);
    if (text.includes("\0")) throw damaged(`piece ${id} holds a null character`);
    if (!Number.isFinite(score)) throw damaged(`piece ${id} ("${text}") has the score ${score}`);
    if (type === "unknown") unknown++;
    seen.add(text);
  }
  if (seen.size !== pieces.length)
    throw damaged(`${pieces.length - seen.size} of its pieces stand there twice`);
  if (unknown !== 1) throw damaged(`it has ${unknown} unknown pieces instead of one`);
}

/** The inverse of `readSentencePieceModel`; SentencePiece and Hugging Face's tokenizers load the result. */
export function writeSentencePieceModel(model: SentencePieceModel): Uint8Array {
  const writer = new BinaryWriter();
  for (const { text, score, type } of model.pieces) {
    writer.tag(fields.model.pieces, WireType.LengthDelimited).fork();
    writer.tag(fields.piece.text, WireType.LengthDelimited).string(text);
    writer.tag(fields.piece.score, WireType.Bit32).float(score);
    if (type !== "normal") writer.tag(fields.piece.type, WireType.Varint).int32(pieceTypes.indexOf(type));
    writer.join();
  }
  writeTrainer(writer, model);
  writeNormalizer(writer, fields.model.normalizer, model.normalizer);
  if (model.denormalizer) writeNormalizer(writer, fields.model.denormalizer, model.denormalizer);
  return writer.finish();
}

function writeTrainer(writer: BinaryWriter, { trainer: spec, pieces }: SentencePieceModel): void {
  const { trainer } = fields;
  writer.tag(fields.model.trainer, WireType.LengthDelimited).fork();
  writer.tag(trainer.modelType, WireType.Varint).int32(modelTypes.indexOf(spec.modelType));
  writer.tag(trainer.vocabularySize, WireType.Varint).int32(pieces.length);
  writer.tag(trainer.treatWhitespaceAsSuffix, WireType.Varint).bool(spec.treatWhitespaceAsSuffix);
  writer.tag(trainer.byteFallback, WireType.Varint).bool(spec.byteFallback);
  writer.tag(trainer.unknownSurface, WireType.LengthDelimited).string(spec.unknownSurface);
  writer.join();
}

function writeNormalizer(writer: BinaryWriter, field: number, spec: NormalizerSpec): void {
  const { normalizer } = fields;
  writer.tag(field, WireType.LengthDelimited).fork();
  writer.tag(normalizer.name, WireType.LengthDelimited).string(spec.name);
  writer.tag(normalizer.precompiledCharsMap, WireType.LengthDelimited).bytes(spec.precompiledCharsMap);
  writer.tag(normalizer.addDummyPrefix, WireType.Varint).bool(spec.addDummyPrefix);
  writer.tag(normalizer.removeExtraWhitespaces, WireType.Varint).bool(spec.removeExtraWhitespaces);
  writer.tag(normalizer.escapeWhitespaces, WireType.Varint).bool(spec.escapeWhitespaces);
  writer.join();
}

function damaged(reason: string, cause?: unknown): LingolensError {
  return new LingolensError(
    "tokenizer-damaged",
    `The SentencePiece model cannot be read: ${reason}. Fetch the file again from where the model was published.`,
    { cause },
  );
}
