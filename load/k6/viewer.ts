import { Counter } from "k6/metrics";
import { clearTimeout, setTimeout } from "k6/timers";
import { WebSocket } from "k6/websockets";
import type { Recipe } from "../../src/cli/verify/generated.ts";
import { lookUp } from "./lookup.ts";
import { wrong } from "./send.ts";
import { COUNTER, DURATION, HEADERS, SERVICE } from "./settings.ts";

/** How long the feed may take to show what a lookup has shown, ms. */
const BEHIND_MAX_MS = 10_000;

const frames = new Counter("live_frames");

interface Frame {
  readonly event: "snapshot" | "update" | "error";
  readonly seq: number;
  readonly data: { readonly count: number };
}

/**
 * One viewer of the total, from the first event to after the last: sequence numbers have no gap, the count never falls,
 * and in the end the feed shows what a lookup shows.
 */
export function watch(recipe: Recipe): void {
  const socket = new WebSocket(`${SERVICE.replace(/^http/, "ws")}/v1/live`, null, { headers: HEADERS });
  let seen = { seq: -1, count: 0 };
  let wanted = Number.POSITIVE_INFINITY;
  let patience = 0;
  const fail = (what: string) => {
    wrong.add(1);
    console.error(`viewer ${__VU}: ${what}`);
  };
  socket.onopen = () => {
    const span = { from: recipe.startedAt - 3_600_000, to: recipe.startedAt + 1 };
    socket.send(JSON.stringify({ op: "subscribe", id: "a", feed: "value", counter: COUNTER, every: "250ms", ...span }));
    setTimeout(
      () => {
        wanted = lookUp<{ count: number }>(recipe, "value")?.count ?? 0;
        if (seen.count >= wanted) socket.close();
        patience = setTimeout(() => {
          if (!isOpen(socket)) return;
          fail(`still at ${seen.count}, not ${wanted}`);
          socket.close();
        }, BEHIND_MAX_MS);
      },
      (DURATION + 1) * 1_000,
    );
  };
  socket.onmessage = (message) => {
    frames.add(1);
    const text = message?.data as string;
    const frame = JSON.parse(text) as Frame;
    if (frame.event === "error") return fail(text);
    if (frame.seq !== seen.seq + 1) fail(`frame ${frame.seq} after ${seen.seq}`);
    if (frame.data.count < seen.count) fail(`count ${frame.data.count} after ${seen.count}`);
    seen = { seq: frame.seq, count: frame.data.count };
    if (seen.count >= wanted && isOpen(socket)) socket.close();
  };
  // A timer that waits would hold the iteration.
  socket.onclose = () => clearTimeout(patience);
  socket.onerror = (event) => fail(event?.error ?? "the connection failed");
}

const isOpen = (socket: WebSocket) => socket.readyState === 1;
