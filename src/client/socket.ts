/** What browsers, Node and the package `ws` have in common. */
export interface Socket {
  readonly readyState: number;
  send(text: string): void;
  close(): void;
  /** Of `ws` alone: without waiting for the other side. */
  terminate?(): void;
  addEventListener(type: "open", listener: () => void): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: { readonly code: number; readonly reason: string }) => void): void;
  addEventListener(type: "error", listener: (event: { readonly message?: string }) => void): void;
}

type SocketClass = new (url: string) => Socket;

/** WebSocket's readyState. */
export const OPEN = 1;

/** How long the other side may take to agree to an end, ms; `ws` would keep the process alive for 30 s. */
const CLOSING_MS = 1_000;

export function closeSocket(socket: Socket): void {
  socket.close();
  if (socket.terminate) setTimeout(() => socket.terminate?.(), CLOSING_MS).unref?.();
}

/** Not a literal, so that bundles for browsers do not take it along. */
const PACKAGE = { name: "ws" };

/** Node has a WebSocket of its own from 22 on. */
export async function socketClass(): Promise<SocketClass> {
  const { WebSocket } = globalThis as { WebSocket?: SocketClass };
  if (WebSocket) return WebSocket;
  const ws = (await import(/* webpackIgnore: true */ /* @vite-ignore */ PACKAGE.name)) as { WebSocket: SocketClass };
  return ws.WebSocket;
}
