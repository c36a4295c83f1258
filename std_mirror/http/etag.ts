/**
 * Entity tags: `@std/http/etag` with its official types, over the untyped copy
 * of the same code on npm.
 *
 * @module
 */
import * as untyped from "deno-std/http/etag.js";

/** What is needed of a file to tag it. */
export interface FileInfo {
  /** When the file was last changed, where known. */
  mtime: Date | null;
  /** How many bytes it has. */
  size: number;
}

/** How to make a tag. */
export interface ETagOptions {
  /** The digest to take, SHA-256 unless told. */
  algorithm?: AlgorithmIdentifier;
  /** Whether the tag is a weak one; by default only a file's is. */
  weak?: boolean;
}

/** Makes a tag: a strong one of content, a weak one of a file's facts. */
export const eTag: {
  (
    entity: string | ReturnType<TextEncoder["encode"]>,
    options?: ETagOptions,
  ): Promise<string>;
  (entity: FileInfo, options?: ETagOptions): Promise<string | undefined>;
} = untyped.eTag;

/** Whether an `If-None-Match` value lacks the tag, so a body is due. */
export const ifNoneMatch: (
  value: string | null,
  etag: string | undefined,
) => boolean = untyped.ifNoneMatch;
