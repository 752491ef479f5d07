import type { WebSocket } from "ws";
import { Problem } from "../core/problem.ts";
import { toProblem } from "../http/problems.ts";
import type { Hub } from "./hub.ts";
import { CLOSE_TOO_SLOW, PING_MS } from "./limits.ts";
import { type Frame, FrameFault, frameText, parseFrame, type Subscription } from "./protocol.ts";
import type { Sink, Viewer } from "./viewer.ts";

/** Serves one WebSocket until it closes. Whatever comes in, the answer is a frame. */
export function serveSocket(hub: Hub, socket: WebSocket, onTooSlow: () => void): void {
  const sink = new SocketSink(socket, onTooSlow);
  const viewer = hub.enter(sink);
  const pings = setInterval(() => sink.ping(), PING_MS);
  socket.on("pong", () => sink.heard());
  socket.on("message", (data, isBinary) => follow(hub, viewer, isBinary ? null : data.toString()));
  // What is wrong with a connection is of no use to anybody: it closes, and the client connects again.
  socket.on("error", () => undefined);
  socket.on("close", () => {
    clearInterval(pings);
    hub.leave(viewer);
  });
}

function follow(hub: Hub, viewer: Viewer, text: string | null): void {
  try {
    if (text === null) throw new FrameFault(null, new Problem("bad_request", "frames must be JSON text"));
    const request = parseFrame(text);
    if (request.op === "subscribe") subscribe(hub, viewer, request.id, request.subscription);
    else if (!viewer.unsubscribe(request.id)) {
      throw new FrameFault(request.id, new Problem("not_found", `there is no subscription "${request.id}"`));
    }
  } catch (error) {
    if (error instanceof FrameFault) viewer.fail(error.id, error.problem);
    else viewer.fail(null, toProblem(error));
  }
}

function subscribe(hub: Hub, viewer: Viewer, id: string, subscription: Subscription): void {
  try {
    hub.subscribe(viewer, id, subscription);
  } catch (error) {
    throw new FrameFault(id, toProblem(error));
  }
}

class SocketSink implements Sink {
  readonly #socket: WebSocket;
  readonly #onTooSlow: () => void;
  #isHeard = true;

  constructor(socket: WebSocket, onTooSlow: () => void) {
    this.#socket = socket;
    this.#onTooSlow = onTooSlow;
  }

  get buffered(): number {
    return this.#socket.bufferedAmount;
  }

  send(frame: Frame, onWritten: () => void): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(frameText(frame), () => onWritten());
  }

  /** `ws` ends the connection itself when the other side does not answer the closing within 30 s. */
  close(code: number, reason: string): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (code === CLOSE_TOO_SLOW) this.#onTooSlow();
    this.#socket.close(code, reason);
  }

  heard(): void {
    this.#isHeard = true;
  }

  ping(): void {
    if (!this.#isHeard) this.close(CLOSE_TOO_SLOW, "a ping was not answered");
    else if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
    this.#isHeard = false;
  }
}
