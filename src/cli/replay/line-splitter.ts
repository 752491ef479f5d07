const NEWLINE = 0x0a;

/** One line of an NDJSON file that is not blank. */
export interface Line {
  /** Counted from 1, blank lines included, as an editor shows it. */
  readonly number: number;
  /** Without the newline; `null` when the line is longer than the limit and was not kept. */
  readonly bytes: Buffer | null;
}

/** Cuts chunks of bytes into lines. Holds at most one line of the largest permitted length. */
export class LineSplitter {
  readonly #maxBytes: number;
  #number = 0;
  /** The beginning of a line whose end has not come yet. */
  #pieces: Buffer[] = [];
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): Line[] {
    const lines: Line[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.#keep(chunk.subarray(start, end));
      this.#finish(lines);
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return lines;
  }

  /** The last line needs no newline. */
  end(): Line[] {
    const lines: Line[] = [];
    if (this.#length > 0) this.#finish(lines);
    return lines;
  }

  #keep(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#length += piece.length;
    if (this.#length > this.#maxBytes) this.#pieces = [];
    else this.#pieces.push(piece);
  }

  #finish(lines: Line[]): void {
    this.#number++;
    const tooLong = this.#length > this.#maxBytes;
    const bytes = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
    if (tooLong || !isBlank(bytes)) lines.push({ number: this.#number, bytes: tooLong ? null : bytes });
    this.#pieces = [];
    this.#length = 0;
  }
}

/** Blank as the service understands it, which skips such lines when it numbers the events of a request. */
function isBlank(bytes: Buffer): boolean {
  // A line that begins with a printable ASCII character other than a space is not blank; nearly all end here.
  const first = bytes[0] ?? 0x20;
  return (first <= 0x20 || first >= 0x7f) && bytes.toString().trim() === "";
}
