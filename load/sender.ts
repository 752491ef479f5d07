import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { FromGenerator, Preparation, ToGenerator } from "./generator.ts";

const GENERATOR = fileURLToPath(new URL("generator.ts", import.meta.url));

export type Sent = Extract<FromGenerator, { kind: "done" }>;

/** A generator process with all its requests ready to go. */
export interface Sender {
  readonly pid: number;
  readonly requests: number;
  /** Of all bodies together. */
  readonly bytes: number;
  /** Sends everything; rejects when a request is answered with anything but 202. */
  send(): Promise<Sent>;
  stop(): void;
}

export async function prepareSender(preparation: Preparation): Promise<Sender> {
  const child = fork(GENERATOR, [], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  try {
    const prepared = await ask(child, { kind: "prepare", preparation });
    if (prepared.kind !== "prepared") throw new Error("the generator did not prepare");
    return {
      pid: child.pid as number,
      requests: prepared.requests,
      bytes: prepared.bytes,
      send: async () => {
        const sent = await ask(child, { kind: "go" });
        if (sent.kind !== "done")
          throw new Error(`sending failed: ${sent.kind === "failed" ? sent.reason : sent.kind}`);
        return sent;
      },
      stop: () => child.kill(),
    };
  } catch (error) {
    child.kill();
    throw error;
  }
}

/** Does the step again and again until everything is sent. */
export async function whileSending(sender: Sender, step: () => Promise<void>): Promise<Sent> {
  let isSending = true;
  const sending = sender.send().finally(() => {
    isSending = false;
  });
  const repeating = async () => {
    while (isSending) await step();
  };
  const [sent] = await Promise.all([sending, repeating()]);
  return sent;
}

async function ask(child: ChildProcess, message: ToGenerator): Promise<FromGenerator> {
  const given = new AbortController();
  try {
    const answer = once(child, "message", { signal: given.signal });
    const exit = once(child, "exit", { signal: given.signal });
    answer.catch(() => {});
    exit.catch(() => {});
    child.send(message);
    return await Promise.race([
      answer.then(([text]) => text as FromGenerator),
      exit.then(([code]): never => {
        throw new Error(`the generator ended with ${code}`);
      }),
    ]);
  } finally {
    given.abort();
  }
}
