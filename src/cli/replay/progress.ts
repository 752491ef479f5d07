import { SingleBar } from "cli-progress";
import type { CliIo } from "./io.ts";

/** Shows how far a long command is, where somebody is looking. */
export interface Progress {
  /** @param total `null`: unknown */
  start(label: string, total: number | null): void;
  update(value: number, note: string): void;
  /** Writes a sentence without tearing the bar apart. */
  notice(sentence: string): void;
  stop(): void;
}

export function createProgress({ stderr }: Pick<CliIo, "stderr">): Progress {
  return stderr.isTTY ? new Bar(stderr) : { ...silent, notice: (sentence) => void stderr.write(`${sentence}\n`) };
}

const silent: Progress = { start() {}, update() {}, notice() {}, stop() {} };

class Bar implements Progress {
  readonly #stderr: CliIo["stderr"];
  #bar: SingleBar | null = null;

  constructor(stderr: CliIo["stderr"]) {
    this.#stderr = stderr;
  }

  start(label: string, total: number | null): void {
    this.stop();
    const format = total === null ? `${label} {note}` : `${label} [{bar}] {percentage}% {note}`;
    // The interrupt is handled by the command, which still has a summary to print.
    this.#bar = new SingleBar({
      format,
      stream: this.#stderr,
      barsize: 30,
      hideCursor: null,
      gracefulExit: false,
      emptyOnZero: true,
    });
    this.#bar.start(total ?? 0, 0, { note: "" });
  }

  update(value: number, note: string): void {
    this.#bar?.update(value, { note });
  }

  notice(sentence: string): void {
    this.#stderr.write(`${this.#bar ? "\n" : ""}${sentence}\n`);
  }

  stop(): void {
    this.#bar?.stop();
    this.#bar = null;
  }
}
