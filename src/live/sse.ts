import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { FastifyReply } from "fastify";
import type { Hub } from "./hub.ts";
import { CLOSE_TOO_SLOW, PING_MS } from "./limits.ts";
import type { Frame, Subscription } from "./protocol.ts";
import type { Sink } from "./viewer.ts";

/** How long a client waits before it connects again, ms. */
const RETRY_MS = 1_000;
/** The one subscription of an event stream; its id is in no frame. */
const ID = "sse";

/**
 * Serves one subscription as server-sent events: `event` is `snapshot`, `update` or `error`, `data` the answer or the
 * problem. (https://html.spec.whatwg.org/multipage/server-sent-events.html)
 */
export function serveEvents(hub: Hub, reply: FastifyReply, subscription: Subscription, onTooSlow: () => void): void {
  const response = reply.raw;
  const sink = new EventSink(response, onTooSlow);
  const viewer = hub.enter(sink);
  response.writeHead(200, {
    ...(reply.getHeaders() as OutgoingHttpHeaders),
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    // nginx would keep events back until its buffer is full.
    "x-accel-buffering": "no",
  });
  response.write(`retry: ${RETRY_MS}\n\n`);
  const pings = setInterval(() => sink.ping(), PING_MS);
  response.on("close", () => {
    clearInterval(pings);
    hub.leave(viewer);
  });
  hub.subscribe(viewer, ID, subscription);
}

class EventSink implements Sink {
  readonly #response: ServerResponse;
  readonly #onTooSlow: () => void;
  /** Bytes that waited already when the last ping was due. */
  #stuck = 0;

  constructor(response: ServerResponse, onTooSlow: () => void) {
    this.#response = response;
    this.#onTooSlow = onTooSlow;
  }

  get buffered(): number {
    return this.#response.writableLength;
  }

  send({ event, seq, resume, body }: Frame, onWritten: () => void): void {
    const id = seq === undefined ? "" : `id: ${resume ?? seq}\n`;
    if (!this.#response.destroyed) this.#response.write(`event: ${event}\n${id}data: ${body}\n\n`, () => onWritten());
  }

  close(code: number): void {
    if (code === CLOSE_TOO_SLOW) this.#onTooSlow();
    // A graceful end would wait for what the client does not take.
    if (this.buffered > 0) this.#response.destroy();
    else this.#response.end();
  }

  ping(): void {
    const isStuck = this.#stuck > 0 && this.buffered >= this.#stuck;
    this.#stuck = this.buffered;
    if (isStuck) this.close(CLOSE_TOO_SLOW);
    else if (this.#stuck === 0) this.#response.write(":\n\n");
  }
}
