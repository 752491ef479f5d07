import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Random } from "../../load/random.ts";
import type { WireRequest } from "./requests.ts";

/** Longer than any of the service's own limits. */
const ANSWER_MAX_MS = 60_000;

export interface WireAnswer {
  /** `null`: none came, because the request was cut off or the connection was closed. */
  readonly status: number | null;
  readonly headers: string;
  readonly body: string;
  readonly timedOut: boolean;
}

/** Sends bytes as they are and reads whatever comes; an answer without end is left after its beginning. */
export async function exchange(url: URL, request: WireRequest, random: Random): Promise<WireAnswer> {
  const socket = connect(Number(url.port), url.hostname);
  const chunks: Buffer[] = [];
  let timedOut = false;
  socket.setTimeout(ANSWER_MAX_MS, () => {
    timedOut = true;
    socket.destroy();
  });
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    if (chunks.length === 1 && chunk.includes("text/event-stream")) socket.destroy();
  });
  // What is wrong with the connection shows in what came, or did not come.
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  await write(request);
  await closed;
  return { ...parse(Buffer.concat(chunks).toString()), timedOut };

  async function write({ bytes, manner }: WireRequest): Promise<void> {
    if (manner === "whole") socket.write(bytes);
    const end = manner === "cut" ? random.below(bytes.length) : bytes.length;
    if (manner === "cut") socket.end(bytes.subarray(0, end), () => random.below(2) === 0 && socket.destroy());
    if (manner !== "slow") return;
    const size = Math.max(1, Math.ceil(end / 10));
    for (let at = 0; at < end && !socket.destroyed; at += size) {
      socket.write(bytes.subarray(at, at + size));
      await pause(random.below(30));
    }
  }
}

function parse(text: string): Omit<WireAnswer, "timedOut"> {
  const end = text.indexOf("\r\n\r\n");
  const headers = end < 0 ? text : text.slice(0, end);
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1];
  return { status: status ? Number(status) : null, headers, body: end < 0 ? "" : text.slice(end + 4) };
}
