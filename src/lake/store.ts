/** Where a lake is, as `TALLYMARK_ARCHIVE` says. */
export type LakeLocation =
  | { readonly kind: "folder"; readonly path: string }
  | { readonly kind: "bucket"; readonly bucket: string; readonly prefix: string };

export interface StoredFile {
  readonly name: string;
  readonly bytes: number;
}

/** Files of a lake. Names are relative and have `/` between their parts. */
export interface LakeStore {
  /** Whole or not at all: who lists or reads never sees a part of it. */
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** `null` where there is none. */
  get(name: string): Promise<Uint8Array | null>;
  /** In the order of their names; those that begin with `prefix`, which ends with `/`. */
  list(prefix: string): AsyncIterable<StoredFile>;
  /** Does nothing where there is none. */
  remove(name: string): Promise<void>;
  /** What killed writers have left. */
  sweep(): Promise<void>;
}

/** Segments and their manifest lie beside each other: `date=…` and `_manifest/date=…`. */
export const MANIFEST = "_manifest/";
export const SEGMENT_SUFFIX = ".parquet";
