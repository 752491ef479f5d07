import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, expect, test } from "vitest";
import { startTestApp } from "../support/app.ts";

/** Every example of the OpenAPI document is sent as it stands, and the answer is of the documented status and shape. */

interface Media {
  readonly schema: object;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}

interface Parameter {
  readonly name: string;
  readonly in: "path" | "query";
  readonly example?: unknown;
}

interface Operation {
  readonly operationId: string;
  readonly summary?: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Record<string, Media> }>
  >;
}

interface Example {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
  readonly type?: string;
  readonly body?: unknown;
}

const app = await startTestApp(null);
afterAll(() => app.stop());
const { body: document } = await app.call("GET", "/openapi.json");
const operations: Omit<Example, "type" | "body">[] = Object.entries(
  document.paths as Record<string, Record<string, Operation>>,
).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
);

/** What others need is made first; what ends something comes last, and the first key closes the service. */
const FIRST = ["putCounter", "sendEvents", "createAlert"];
const LAST = ["deleteAlert", "deleteCounter", "createKey", "revokeKey"];
/** Where nothing is there to be found yet, or a plain request cannot succeed. */
const REFUSED: Readonly<Record<string, number>> = {
  openLive: 426,
  resendAlertEvent: 409,
  retryDeadLetter: 404,
  // This service keeps no raw events.
  rebuildCounter: 409,
  getRebuild: 409,
  // The last key that could make others stays.
  revokeKey: 409,
};

const rank = ({ operation: { operationId } }: { operation: Operation }) => {
  const [first, last] = [FIRST.indexOf(operationId), LAST.indexOf(operationId)];
  return last >= 0 ? 100 + last : first >= 0 ? first : 50;
};

const valuesOf = ({ example, examples }: Media): unknown[] => [
  ...(example === undefined ? [] : [example]),
  ...Object.values(examples ?? {}).map(({ value }) => value),
];

const cases: Example[] = operations
  .sort((a, b) => rank(a) - rank(b))
  .flatMap((one): Example[] => {
    const { requestBody } = one.operation;
    if (!requestBody) return [one];
    return Object.entries(requestBody.content).flatMap(([type, media]) =>
      valuesOf(media).map((body) => ({ ...one, type, body })),
    );
  });

/** What answers have named: ids are not known beforehand. */
const known: Record<string, string> = { event: "evt_01KE0000000000000000000000", ref: "0-0-0" };
let authorization: Record<string, string> = {};

function urlOf({ path, operation: { parameters = [] } }: Example): string {
  const query = new URLSearchParams();
  for (const { name, in: place, example } of parameters) {
    if (place === "query" && example !== undefined) for (const one of [example].flat()) query.append(name, String(one));
  }
  const ofPath = (name: string) =>
    encodeURIComponent(String(known[name] ?? parameters.find((one) => one.name === name)?.example));
  return `${app.url}${path.replace(/\{(\w+)\}/g, (_, name) => ofPath(name))}?${query}`;
}

async function send(example: Example) {
  const { method, type, body } = example;
  const leave = new AbortController();
  const response = await fetch(urlOf(example), {
    method,
    headers: { ...authorization, ...(type && { "content-type": type }) },
    ...(type && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    signal: leave.signal,
  });
  const mediaType = response.headers.get("content-type")?.split(";")[0] ?? null;
  // A stream has no end; its first piece is enough.
  const first = mediaType === "text/event-stream" ? await response.body?.getReader().read() : undefined;
  const text = first ? new TextDecoder().decode(first.value) : await response.text();
  leave.abort();
  return { status: response.status, mediaType, answer: mediaType?.includes("json") ? JSON.parse(text) : text };
}

const ajv = new Ajv2020({ strict: false, validateFormats: false });

function faultsOf(schema: object, value: unknown): string {
  const validate = ajv.compile(schema);
  return validate(value) ? "" : ajv.errorsText(validate.errors);
}

test.each(cases)("$operation.operationId ($method $path $type $body)", async (example) => {
  const { operationId, responses } = example.operation;
  const { status, mediaType, answer } = await send(example);
  const refused = REFUSED[operationId];
  if (refused) expect([status, answer.code]).toEqual([refused, expect.any(String)]);
  else expect([status < 300, JSON.stringify(answer)]).toEqual([true, expect.not.stringContaining("urn:tallymark")]);
  const documented = responses[status];
  expect(Object.keys(responses)).toContain(String(status));
  if (mediaType === null) expect(documented?.content).toBeUndefined();
  else expect(faultsOf(documented?.content?.[mediaType]?.schema ?? { not: {} }, answer)).toBe("");
  if (operationId === "createAlert") known.id = answer.id;
  if (operationId === "createKey") {
    known.id = answer.id;
    authorization = { authorization: `Bearer ${answer.key}` };
  }
});

test("examples of answers have the documented shape, and every body and operation is described", () => {
  const ids = operations.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(operations.length);
  const tags = (document.tags as { name: string; description: string }[]).map(({ name }) => name);
  for (const { operation } of operations) {
    expect(operation.summary, operation.operationId).toBeTruthy();
    expect(tags).toEqual(expect.arrayContaining([...operation.tags]));
    for (const media of Object.values(operation.requestBody?.content ?? {})) {
      expect(valuesOf(media).length, operation.operationId).toBeGreaterThan(0);
    }
    for (const { description, content } of Object.values(operation.responses)) {
      expect(description, operation.operationId).not.toBe("Default Response");
      for (const media of Object.values(content ?? {})) {
        for (const value of valuesOf(media)) expect(faultsOf(media.schema, value), operation.operationId).toBe("");
      }
    }
  }
});
