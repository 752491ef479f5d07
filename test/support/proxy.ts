import { once } from "node:events";
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Server, type Socket } from "node:net";

/**
 * What happens to the connection that carries the next chunk with a text.
 * `lose the reply`: the chunk is forwarded, then the connection is cut before the reply comes back.
 * `deliver late`: the client's side is cut at once, and the chunk reaches the server `afterMs` later all the same.
 */
type Fault = { readonly text: string; readonly effect: "lose the reply" | "deliver late"; readonly afterMs: number };

/** A text in every batch that counts something, and in no call of the same script that only looks ids up. */
export const COUNTING = "reached";

/** How long a command of several chunks may take to arrive, ms. */
const COMMAND_MS = 100;

/** A TCP proxy in front of a server, which breaks connections at chosen moments. */
export class TcpProxy {
  readonly #server: Server;
  readonly #target: NetConnectOpts;
  readonly #pairs = new Set<readonly [client: Socket, upstream: Socket]>();
  #fault: Fault | null = null;
  #frozen = false;
  #triggered: (() => void) | null = null;
  /** Added to the way of every chunk, in either direction, ms. */
  delayMs = 0;

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
    return this.#plan({ text, effect: "lose the reply", afterMs: 0 });
  }

  /**
   * The connection of the next command with this text breaks for the client at once, and the command reaches the server
   * after a while: by then the client may have come back on another connection. Resolves when it has broken.
   */
  deliverLate(text: string, afterMs: number): Promise<void> {
    return this.#plan({ text, effect: "deliver late", afterMs });
  }

  /** Forgets a fault that no command has met yet. */
  clear(): void {
    this.#fault = null;
    this.#triggered?.();
    this.#triggered = null;
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

  /** Ends every connection towards the client alone: what it has sent still reaches the server, replies do not come. */
  halfClose(): void {
    for (const [client] of this.#pairs) client.end();
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.cut();
    await once(this.#server, "close");
  }

  #plan(fault: Fault): Promise<void> {
    this.#fault = fault;
    return new Promise((resolve) => {
      this.#triggered = resolve;
    });
  }

  #connect(client: Socket): void {
    const upstream = connect(this.#target);
    const pair = [client, upstream] as const;
    this.#pairs.add(pair);
    const [toUpstream, toClient] = [this.#channel(upstream), this.#channel(client)];
    let broken: Fault | null = null;
    client.on("data", (data) => {
      if (!broken && this.#fault && data.includes(this.#fault.text)) {
        broken = this.#fault;
        this.#fault = null;
        if (broken.effect === "deliver late") return this.#deliverLate(pair, data, broken.afterMs);
      }
      if (broken?.effect !== "deliver late") toUpstream(data);
    });
    upstream.on("data", (data) => {
      if (!broken) return toClient(data);
      // The server has executed the command: this is its reply, which now gets lost.
      client.destroy();
      this.#triggered?.();
    });
    client.on("error", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
    client.on("close", () => {
      if (broken?.effect !== "deliver late") upstream.destroy();
    });
    upstream.on("close", () => {
      client.destroy();
      this.#pairs.delete(pair);
    });
    if (this.#frozen) for (const socket of pair) socket.pause();
  }

  #deliverLate([client, upstream]: readonly [Socket, Socket], first: Buffer, afterMs: number): void {
    const held = [first];
    client.on("data", (data) => held.push(data));
    setTimeout(() => {
      client.destroy();
      this.#triggered?.();
    }, COMMAND_MS);
    setTimeout(() => upstream.end(Buffer.concat(held)), afterMs);
  }

  /** Writes to a socket in order, each chunk after the delay in force when it came. */
  #channel(socket: Socket): (data: Buffer) => void {
    const waiting: { readonly data: Buffer; readonly due: number }[] = [];
    const write = (data: Buffer) => socket.writable && socket.write(data);
    const drain = () => {
      const now = performance.now();
      while (waiting[0] && waiting[0].due <= now) write((waiting.shift() as { data: Buffer }).data);
      if (waiting[0]) setTimeout(drain, Math.ceil(waiting[0].due - now));
    };
    return (data) => {
      if (this.delayMs === 0 && waiting.length === 0) return void write(data);
      waiting.push({ data, due: performance.now() + this.delayMs });
      if (waiting.length === 1) setTimeout(drain, this.delayMs);
    };
  }
}
