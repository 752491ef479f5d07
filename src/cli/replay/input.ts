import { constants, createReadStream } from "node:fs";
import { access, stat } from "node:fs/promises";
import { addAbortSignal, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { REQUEST_BYTES_MAX } from "../../core/limits.ts";
import { type CliIo, CommandFailure } from "./io.ts";
import { type Line, LineSplitter } from "./line-splitter.ts";

/** Bytes read from a file at a time. */
const READ_BYTES = 256 * 1024;

/** A file, or standard input, that holds one event a line. */
export interface Input {
  /** As messages name it. */
  readonly name: string;
  /** Size on disk; `null` when unknown. */
  readonly bytes: number | null;
  /** Whether data may be slow to come: a pipe or a terminal, not a file. */
  readonly live: boolean;
  open(): Readable;
}

/** Checks every file before the first one is read, so that a misspelt name shows at once and not hours later. */
export async function findInputs(files: readonly string[], io: Pick<CliIo, "stdin">): Promise<Input[]> {
  const inputs: Input[] = [];
  for (const file of files) inputs.push(file === "-" ? standardInput(io.stdin) : await findFile(file));
  return inputs;
}

function standardInput(stdin: Readable): Input {
  return { name: "standard input", bytes: null, live: true, open: () => stdin };
}

async function findFile(file: string): Promise<Input> {
  try {
    await access(file, constants.R_OK);
    const found = await stat(file);
    if (found.isDirectory()) throw new CommandFailure(`${file}: is a directory, not a file of events`);
    const size = found.isFile() ? found.size : null;
    return {
      name: file,
      bytes: size,
      live: size === null,
      open: () => createReadStream(file, { highWaterMark: READ_BYTES }),
    };
  } catch (error) {
    throw readFailure(file, error);
  }
}

/**
 * The lines of an input, as many at a time as one chunk holds. Compressed data is recognised by its first bytes.
 *
 * @param onBytes told the bytes read so far, compressed where the input is
 */
export async function* readLines(
  input: Input,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Line[]> {
  const splitter = new LineSplitter(REQUEST_BYTES_MAX);
  const source = addAbortSignal(signal, input.open());
  try {
    for await (const chunk of withoutMark(await decompressed(counted(source, onBytes)))) {
      const lines = splitter.push(chunk);
      if (lines.length > 0) yield lines;
    }
  } catch (error) {
    // Asked to stop, the input ends early; what came of it is the caller's to report.
    if (signal.aborted) return;
    throw readFailure(input.name, error);
  } finally {
    source.destroy();
  }
  yield splitter.end();
}

async function* counted(source: Readable, onBytes: (bytes: number) => void): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of source) {
    const buffer = typeof chunk === "string" ? Buffer.from(chunk) : (chunk as Buffer);
    bytes += buffer.length;
    onBytes(bytes);
    yield buffer;
  }
}

const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);

async function decompressed(chunks: AsyncGenerator<Buffer>): Promise<AsyncIterable<Buffer>> {
  const { head, rest } = await peek(chunks, GZIP_MAGIC.length);
  if (!head.subarray(0, 2).equals(GZIP_MAGIC)) return rest;
  const gunzip = createGunzip({ chunkSize: READ_BYTES });
  // An error also arrives where the output is read, and is dealt with there.
  pipeline(Readable.from(rest, { objectMode: false }), gunzip).catch(() => {});
  return gunzip;
}

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** JSON text does not begin with a byte order mark, files made on Windows do. */
async function* withoutMark(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const { head, rest } = await peek(chunks, BYTE_ORDER_MARK.length);
  let skip = head.subarray(0, 3).equals(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0;
  for await (const chunk of rest) {
    yield skip > 0 ? chunk.subarray(skip) : chunk;
    skip = 0;
  }
}

/** At least `bytes` of the beginning where there are as many, and everything, beginning included. */
async function peek(
  chunks: AsyncIterable<Buffer>,
  bytes: number,
): Promise<{ head: Buffer; rest: AsyncGenerator<Buffer> }> {
  const iterator = chunks[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  let done = false;
  while (!done && head.length < bytes) {
    const next = await iterator.next();
    if (next.done) done = true;
    else head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
  }
  async function* rest(): AsyncGenerator<Buffer> {
    if (head.length > 0) yield head;
    if (!done) yield* { [Symbol.asyncIterator]: () => iterator };
  }
  return { head, rest: rest() };
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "the file may not be read",
  EPERM: "the file may not be read",
  Z_BUF_ERROR: "the gzip data ends too early",
  Z_DATA_ERROR: "the gzip data is damaged",
};

function readFailure(name: string, error: unknown): CommandFailure {
  if (error instanceof CommandFailure) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return new CommandFailure(`${name}: ${REASONS[code ?? ""] ?? message}`);
}
