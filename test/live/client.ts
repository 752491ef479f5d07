import { once } from "node:events";
import { WebSocket } from "ws";

/** What came in one frame. */
export interface Received {
  readonly id?: string;
  readonly event: "snapshot" | "update" | "error";
  readonly seq?: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape, and expect() checks them
  readonly data?: any;
  readonly problem?: { readonly code: string; readonly detail: string };
}

/** A viewer on a real WebSocket. */
export class LiveClient {
  readonly socket: WebSocket;
  readonly received: Received[] = [];
  /** Code and reason of the closing, once it has closed. */
  readonly closed: Promise<{ code: number; reason: string }>;
  #wake: (() => void) | null = null;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => resolve({ code, reason: String(reason) }));
    });
    socket.on("message", (data) => {
      this.received.push(JSON.parse(String(data)));
      this.#wake?.();
    });
    socket.on("error", () => undefined);
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<LiveClient> {
    const socket = new WebSocket(`${url.replace("http", "ws")}/v1/live`, { headers });
    const client = new LiveClient(socket);
    await once(socket, "open");
    return client;
  }

  send(frame: unknown): void {
    this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  subscribe(id: string, subscription: object): void {
    this.send({ op: "subscribe", id, ...subscription });
  }

  /** The first frame, received or still to come, that the test is waiting for. */
  async until(isWanted: (frame: Received) => boolean): Promise<Received> {
    for (;;) {
      const found = this.received.find(isWanted);
      if (found) return found;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.closed;
  }
}
