import type { CliIo } from "../replay/io.ts";
import { cutTo } from "./text.ts";

/** Of a terminal that does not say how large it is. */
const COLUMNS = 80;
const ROWS = 24;
/** ECMA-48: to the beginning of a line so many up, then clear to the end of the screen. */
const upAndClear = (lines: number) => (lines > 0 ? `\u001b[${lines}F\u001b[J` : "");

/** A few lines of a terminal that are drawn anew in place. */
export class Screen {
  readonly #stdout: CliIo["stdout"];
  #drawn = 0;

  constructor(stdout: CliIo["stdout"]) {
    this.#stdout = stdout;
  }

  draw(lines: readonly string[]): void {
    const { columns = COLUMNS, rows = ROWS } = this.#stdout;
    // A line that wrapped, or scrolled away at the top, could not be drawn over.
    const shown = lines.slice(0, rows - 1).map((line) => `${cutTo(line, columns)}\n`);
    this.#stdout.write(upAndClear(this.#drawn) + shown.join(""));
    this.#drawn = shown.length;
  }
}
