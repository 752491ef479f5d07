import { connect, type Socket } from "node:net";

/** What a server answered. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** A server that has not answered for so long, ms, has failed. */
const ANSWER_MAX_MS = 30_000;
/** Where the first line of an answer has its status. */
const [STATUS_FROM, STATUS_TO] = ["HTTP/1.1 ".length, "HTTP/1.1 200".length];

/** A whole request, ready to be written. */
export function requestOf(method: "GET" | "POST", url: string, body = ""): Buffer {
  const { host, pathname, search } = new URL(url);
  const head = `${method} ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\n`;
  const entity = body === "" ? "" : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`;
  return Buffer.from(`${head}${entity}\r\n${body}`);
}

/**
 * One connection over which requests go one after another. Understands what servers of JSON answer and no more: `fetch`
 * and `node:http` cost the sender as much as a small request costs the server, and would be what is measured.
 */
export class Wire {
  readonly #socket: Socket;
  #received = "";
  #waiting: { resolve(answer: Answer): void; reject(error: Error): void } | undefined;

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.#socket.setEncoding("latin1");
    this.#socket.setTimeout(ANSWER_MAX_MS, () => {
      if (this.#waiting) this.#fail(new Error("no answer in time"));
    });
    this.#socket.on("data", (text: string) => this.#take(text));
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.on("close", () => this.#fail(new Error("the connection was closed")));
  }

  ask(request: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(new Error("the connection was closed"));
      this.#waiting = { resolve, reject };
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(text: string): void {
    this.#received += text;
    const end = this.#received.indexOf("\r\n\r\n");
    if (end < 0) return;
    const length = /\r\ncontent-length: (\d+)/i.exec(this.#received.slice(0, end))?.[1];
    const body = this.#received.slice(end + 4);
    if (length === undefined) this.#fail(new Error(`an answer without a length: ${this.#received}`));
    else if (body.length >= Number(length)) this.#answer(Number(this.#received.slice(STATUS_FROM, STATUS_TO)), body);
  }

  #answer(status: number, body: string): void {
    this.#received = "";
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve({ status, body });
  }

  #fail(error: Error): void {
    this.#socket.destroy();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(error);
  }
}

/** Asks, and takes no other status for an answer. */
export async function demand(wire: Wire, request: Buffer, status: number): Promise<string> {
  const answer = await wire.ask(request);
  if (answer.status !== status) throw new Error(`answered ${answer.status}: ${answer.body.slice(0, 300)}`);
  return answer.body;
}
