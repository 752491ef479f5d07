import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Writable } from "node:stream";
import type { RedisBinary } from "./binary.ts";
import { childEnvironment } from "./environment.ts";

/**
 * Becomes the server, and leaves a watcher behind that ends it when we die, however we die. The watcher reads a pipe
 * whose other end only we hold. A line on it means that the server has ended before us; the end of the pipe without
 * a line means that we are gone. The shell itself turns into the server, whose process number and end we thus learn at
 * first hand. The watcher is forked twice so as not to be a child of the server, which would be told of its end.
 */
const SCRIPT = `
( (
  trap '' HUP INT
  if read -r line <&3; then exit; fi
  kill -TERM $$
  left=100
  while [ $left -gt 0 ]; do kill -0 $$ 2>/dev/null || exit; sleep 0.1; left=$((left - 1)); done
  kill -KILL $$ 2>/dev/null
) & )
exec 3<&-
exec "$@"
`;
const END_WITHIN_MS = 10_000;

/** A server process that does not outlive us. */
export interface Supervised {
  readonly pid: number;
  /** Resolves, with words for a message, when the process has ended. */
  readonly ended: Promise<string>;
  /** Resolves when the process has ended, which is asked of it and after a while forced. */
  end(): Promise<void>;
}

export interface SupervisedOptions {
  readonly binary: RedisBinary;
  readonly args: readonly string[];
  readonly directory: string;
  /** Where everything goes that is said before the server opens its own log. */
  readonly output: number;
}

export async function spawnSupervised(options: SupervisedOptions): Promise<Supervised> {
  const { binary, output } = options;
  const child = spawn("/bin/sh", ["-c", SCRIPT, "tallymark-redis", binary.command, ...options.args], {
    cwd: options.directory,
    env: childEnvironment(binary.libraryPath),
    // Its own process group: a Ctrl-C at the terminal is for us, and we decide when the server stops.
    detached: true,
    // The pipe is not the standard input, which Node closes at the child's end before we can write the line.
    stdio: ["ignore", output, output, "pipe"],
  });
  // A process that cannot be signalled is one that has ended, which its end tells.
  child.on("error", () => {});
  // The watcher's end of the pipe breaks when the watcher has gone first, which needs no answer.
  leashOf(child)?.on("error", () => {});
  if (child.pid === undefined) {
    const [error] = await once(child, "error");
    throw error;
  }
  const ended = endOf(child);
  return { pid: child.pid, ended, end: () => endProcess(child, ended) };
}

function leashOf(child: ChildProcess): Writable | undefined {
  const pipe = child.stdio[3];
  return pipe instanceof Writable ? pipe : undefined;
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => {
      // From here the number may mean another process, which the watcher must not kill.
      leashOf(child)?.end("ended\n");
      resolve(signal === null ? `ended with code ${code}` : `was ended by ${signal}`);
    });
  });
}

async function endProcess(child: ChildProcess, ended: Promise<string>): Promise<void> {
  child.kill("SIGTERM");
  const force = setTimeout(() => child.kill("SIGKILL"), END_WITHIN_MS);
  await ended;
  clearTimeout(force);
}
