import type { ServerResponse } from "node:http";
import { json, serve } from "../helpers.ts";

export interface Received {
  readonly lines: readonly string[];
  readonly response: ServerResponse;
  /** Counts requests from 1. */
  readonly number: number;
}

/** What a healthy service answers to events it has not seen. */
export function applied({ lines, response }: Received): void {
  json(response, 200, { accepted: lines.length, applied: lines.length, duplicates: 0, late: 0, dead: 0, rejected: [] });
}

export function unavailable({ response }: Received, headers: Record<string, string> = {}, status = 503): void {
  json(response, status, { code: "unavailable", detail: "Redis does not answer just now" }, headers);
}

/** A stand-in for the service that keeps what it gets and answers as told. */
export async function startStub(answer: (received: Received) => void = applied) {
  const requests: string[][] = [];
  const paths = new Set<string>();
  let inFlight = 0;
  const stub = {
    url: await serve((request, body, response) => {
      stub.mostInFlight = Math.max(stub.mostInFlight, ++inFlight);
      response.on("close", () => inFlight--);
      paths.add(`${request.method} ${request.url} ${request.headers["content-type"]}`);
      const lines = body.split("\n").filter((line) => line !== "");
      requests.push(lines);
      answer({ lines, response, number: requests.length });
    }),
    /** Lines of every request, in order of arrival. */
    requests,
    paths,
    mostInFlight: 0,
  };
  return stub;
}
