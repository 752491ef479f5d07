import { once } from "node:events";
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Server, type Socket } from "node:net";

/** What happens to the connection when the next command that contains a text has been forwarded. */
type Fault = { readonly text: string; readonly replies: "lost" };

/** A TCP proxy in front of a server, which breaks connections at chosen moments. */
export class TcpProxy {
  readonly #server: Server;
  readonly #target: NetConnectOpts;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #fault: Fault | null = null;
  #frozen = false;
  #triggered: (() => void) | null = null;

  private constructor(target: NetConnectOpts) {
    this.#target = target;
    this.#server = createServer((client) => this.#connect(client));
  }

  static async start(target: NetConnectOpts): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /**
   * The next command with this text reaches the server, and its connection is cut before the reply comes back. Resolves
   * when that has happened.
   */
  loseReplyTo(text: string): Promise<void> {
    this.#fault = { text, replies: "lost" };
    return new Promise((resolve) => {
      this.#triggered = resolve;
    });
  }

  /** While frozen, nothing passes in either direction and no connection is closed: a half-open network. */
  set frozen(frozen: boolean) {
    this.#frozen = frozen;
    for (const pair of this.#pairs) for (const socket of pair) frozen ? socket.pause() : socket.resume();
  }

  /** Cuts every connection; new ones are accepted. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.cut();
    await once(this.#server, "close");
  }

  #connect(client: Socket): void {
    const upstream = connect(this.#target);
    const pair = [client, upstream] as const;
    this.#pairs.add(pair);
    let repliesLost = false;
    client.on("data", (data) => {
      upstream.write(data);
      if (!this.#fault || !data.includes(this.#fault.text)) return;
      this.#fault = null;
      repliesLost = true;
    });
    upstream.on("data", (data) => {
      if (!repliesLost) return void client.write(data);
      // The server has executed the command: this is its reply, which now gets lost.
      client.destroy();
      this.#triggered?.();
    });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
    }
    if (this.#frozen) for (const socket of pair) socket.pause();
  }
}
