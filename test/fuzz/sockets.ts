import { once } from "node:events";
import { WebSocket } from "ws";
import type { Random } from "../../load/random.ts";
import { garble, mutate, oddText, pick, spoil } from "./values.ts";

const FRAMES = [
  { op: "subscribe", id: "a", feed: "value", counter: "load", last: "1h" },
  { op: "subscribe", id: "b", feed: "top", counter: "load", last: "1h", limit: 5, every: "100ms" },
  { op: "subscribe", id: "c", feed: "series", counter: "load", last: "1h", window: "1m" },
  { op: "subscribe", id: "d", feed: "stats" },
  { op: "subscribe", id: "e", feed: "alerts", after: "0-0" },
  { op: "unsubscribe", id: "a" },
];
/** Message too big, invalid payload, protocol error: what the protocol itself closes for. */
const CLOSES = [1000, 1002, 1007, 1009];

const RESETS = ["ECONNRESET", "EPIPE"];

/** One connection with random frames; whatever comes back must be a frame, and no problem of the service's own. */
export async function fuzzSocket(url: string, key: string, random: Random): Promise<string[]> {
  const faults: string[] = [];
  const socket = new WebSocket(`${url.replace("http", "ws")}/v1/live?token=${key}`);
  // A frame that breaks the protocol ends the connection, at times while more is being written.
  socket.on("error", (error: NodeJS.ErrnoException) => {
    if (!RESETS.includes(error.code ?? "")) faults.push(`WebSocket: ${error.message}`);
  });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("close", (code) => {
    if (!CLOSES.includes(code) && code !== 1005 && code !== 1006) faults.push(`WebSocket closed with ${code}`);
  });
  socket.on("message", (data) => {
    const { event, problem } = JSON.parse(data.toString()) as { event: string; problem?: { status: number } };
    const isKnown = ["snapshot", "update", "error"].includes(event);
    if (!isKnown || (problem?.status ?? 0) >= 500) faults.push(`WebSocket frame ${data.toString().slice(0, 500)}`);
  });
  await Promise.race([once(socket, "open").catch(() => {}), closed]);
  for (let i = random.below(30); i > 0 && socket.readyState === socket.OPEN; i--) {
    const text = JSON.stringify(random.below(3) === 0 ? pick(random, FRAMES) : mutate(random, pick(random, FRAMES)));
    const frame = random.below(8) === 0 ? spoil(random, text) : text;
    await new Promise<void>((resolve) => {
      const done = () => resolve();
      if (random.below(10) === 0) socket.send(garble(random, Buffer.from(frame)), done);
      else if (random.below(20) === 0) socket.ping(oddText(random).slice(0, 30), true, done);
      else socket.send(frame, done);
    });
  }
  if (random.below(2) === 0) socket.terminate();
  else socket.close();
  await closed;
  return faults;
}
