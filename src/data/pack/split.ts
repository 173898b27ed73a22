/**
 * Which pictures are for validation: those whose hash is below a threshold. A picture's place depends on itself alone,
 * so it stays where it is when others are added or the order changes.
 */
import { createHash } from "node:crypto";
import type { DatasetEntry } from "../dataset.js";

/** How much is for validation: a share of the pictures, or a number of them. */
export type ValidationSize = { readonly share: number } | { readonly pictures: number };

/** From 0 to before 1, evenly spread. */
export function positionOf(entry: Pick<DatasetEntry, "image" | "fields">): number {
  const hash = createHash("sha256")
    .update(`validation ${identityOf(entry)}`)
    .digest();
  return hash.readUIntBE(0, 6) / 2 ** 48;
}

/** What a picture is: the file that was fetched, or where it is from, or what it is called. */
function identityOf({ image, fields }: Pick<DatasetEntry, "image" | "fields">): string {
  const said = [fields.sha256, fields.url].find((value) => typeof value === "string" && value !== "");
  return typeof said === "string" ? said : image;
}

/** Finds the threshold below which there are just so many positions, in a memory that depends on that number alone. */
export class Threshold {
  #least: number[] = [];

  constructor(private readonly pictures: number) {}

  add(position: number): void {
    this.#least.push(position);
    if (this.#least.length >= 2 * this.pictures + 1000) this.#cut();
  }

  /** 1 where there are no more positions than wanted: all are below it. */
  get value(): number {
    this.#cut();
    return this.#least[this.pictures] ?? 1;
  }

  /** Keeps one more than wanted, which is the threshold. */
  #cut(): void {
    this.#least.sort((a, b) => a - b);
    this.#least.length = Math.min(this.#least.length, this.pictures + 1);
  }
}
