import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Model } from "./model.ts";
import type { Question } from "./questions.ts";

export interface ModelServer {
  readonly url: string;
  close(): void;
}

/** The lookups of the service, answered by a model: what a faultless service says, for testing what checks it. */
export async function serveModel(model: Model): Promise<ModelServer> {
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://model");
    const [, , , counter = "", feed] = pathname.split("/");
    const answer =
      pathname === "/v1/query"
        ? answerAll(model, await bodyOf(request))
        : feed === "keys"
          ? keysPage(model, counter, searchParams)
          : model.answer(questionOf(counter, feed as Question["feed"], searchParams));
    response.setHeader("content-type", "application/json").end(JSON.stringify(answer, sumsAsNumbers));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function answerAll(model: Model, body: string) {
  const { queries } = JSON.parse(body) as { queries: Question[] };
  return { results: queries.map((question) => model.answer(question)) };
}

/** No sum of the real logs is beyond what the service writes as a number. */
function sumsAsNumbers(name: string, value: unknown): unknown {
  return name === "sum" ? Number(value) : value;
}

function questionOf(counter: string, feed: Question["feed"], parameters: URLSearchParams): Question {
  const { key: _, limit, ...rest } = Object.fromEntries(parameters);
  const key = parameters.getAll("key");
  return { counter, feed, ...(key.length > 0 && { key }), ...(limit && { limit: Number(limit) }), ...rest };
}

function keysPage(model: Model, counter: string, parameters: URLSearchParams) {
  const keys = model.keys(counter, parameters.get("prefix") ?? "");
  const from = Number(parameters.get("cursor") ?? 0);
  const to = from + Number(parameters.get("limit") ?? 100);
  return { keys: keys.slice(from, to), ...(to < keys.length && { cursor: String(to) }) };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
