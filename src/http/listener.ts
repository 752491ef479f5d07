import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { FastifyInstance } from "fastify";
import { Problem } from "../core/problem.ts";

/** A request that has not come in completely after this long is given up, ms; Fastify's default is never. */
export const REQUEST_TIMEOUT_MS = 30_000;
/** So is one whose headers have not: they are one packet, unless somebody wants to hold the connection. */
const HEADERS_TIMEOUT_MS = 10_000;
/** How often connections are looked at for that, ms; Node's default is every 30 s. */
const CHECK_MS = 2_000;
/** Connections of one process; beyond, new ones are closed at once. */
const CONNECTIONS_MAX = 20_000;

/** Options of the server below Fastify's. */
export const LISTENER_OPTIONS = { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: CHECK_MS } as const;

export function limitConnections(app: FastifyInstance): void {
  app.server.maxConnections = CONNECTIONS_MAX;
}

const LIVE = /^\/v1\/live(?:\/sse)?\?/;
const TOKEN = /([?&])token=([^&]*)(&|$)/;

/**
 * Browsers can send no header with a WebSocket or an event stream, so their key comes as `?token=`. It becomes the
 * header here, before anything else sees the address: nothing can log it, or take it for a parameter.
 */
export function takeToken(request: IncomingMessage): string {
  const { url = "/", headers } = request;
  const match = LIVE.test(url) ? TOKEN.exec(url) : null;
  if (!match) return url;
  const [whole, before = "", token = "", after = ""] = match;
  headers.authorization ??= `Bearer ${decodeToken(token)}`;
  const rest = url.replace(whole, after === "&" ? before : "");
  // Fastify keeps what it was given; this is what it reads from.
  request.url = rest;
  return takeToken(request);
}

/** A token has no character that needs encoding; what cannot be decoded is none. */
function decodeToken(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** What Node itself found wrong with a request, by its code. */
const TRANSPORT_PROBLEMS: Readonly<Record<string, Problem>> = {
  ERR_HTTP_REQUEST_TIMEOUT: new Problem("request_timeout", "the request did not come in completely in time"),
  HPE_HEADER_OVERFLOW: new Problem("headers_too_large", "the headers must be at most 16 KiB"),
};
const MALFORMED = new Problem("bad_request", "this is no valid HTTP request");

/** Answers what is no request, and closes: whatever else comes on the connection cannot be told from it. */
export function answerTransportError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed) return;
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const problem = TRANSPORT_PROBLEMS[error.code ?? ""] ?? MALFORMED;
  const body = JSON.stringify(problem.toDocument());
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.toDocument().title}`,
    "content-type: application/problem+json",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => socket.destroy());
}
