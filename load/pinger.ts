import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { type Quantiles, quantilesOf } from "./quantiles.ts";

/**
 * A process of its own that sends PING about once a millisecond over a connection of its own, one after the other, and
 * answers each message with what it has seen since the one before.
 */

export interface PingFigures extends Quantiles {
  readonly pings: number;
}

const EVERY_MS = 1;
/** It ends by itself after so many, ten minutes or more, if nobody has ended it. */
const PINGS_MAX = 600_000;
const REPLY_BYTES = "+PONG\r\n".length;

let times: number[] = [];

process.on("message", () => {
  const figures: PingFigures = { pings: times.length, ...quantilesOf(times) };
  times = [];
  process.send?.(figures);
});

const socket = connect(process.argv[2] as string);
let answered = () => {};
let received = 0;
socket.on("data", (bytes) => {
  received += bytes.length;
  if (received < REPLY_BYTES) return;
  received = 0;
  answered();
});

for (let ping = 0; ping < PINGS_MAX; ping++) {
  const reply = new Promise<void>((resolve) => {
    answered = resolve;
  });
  const sentAt = performance.now();
  socket.write("PING\r\n");
  await reply;
  times.push(performance.now() - sentAt);
  await pause(EVERY_MS);
}
process.exit();
