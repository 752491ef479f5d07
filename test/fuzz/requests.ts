import { gzipSync } from "node:zlib";
import type { Random } from "../../load/random.ts";
import { garble, mutate, oddText, oddValue, pick, spoil } from "./values.ts";

/** Requests that are more or less wrong, for every route of an OpenAPI document. */

export interface Target {
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly example?: unknown }[];
  readonly bodies: readonly { readonly type: string; readonly value: unknown }[];
}

/** How the bytes are put on the wire: at once, in pieces, or not to the end. */
export type Manner = "whole" | "slow" | "cut";

export interface WireRequest {
  readonly bytes: Buffer;
  readonly manner: Manner;
  /** Names it in a report. */
  readonly title: string;
}

/** What serves browsers and machines and is in no document. */
const UNDOCUMENTED = ["/", "/docs", "/docs/json", "/docs/static/index.html", "/openapi.json", "/jobs", "/nowhere"];

type Document = Record<string, Record<string, { parameters?: Target["parameters"]; requestBody?: { content: Media } }>>;
type Media = Record<string, { example?: unknown; examples?: Record<string, { value: unknown }> }>;

export function targetsOf(paths: Document): Target[] {
  const documented = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      parameters,
      bodies: Object.entries(requestBody?.content ?? {}).flatMap(([type, { example, examples }]) =>
        [...(example === undefined ? [] : [example]), ...Object.values(examples ?? {}).map(({ value }) => value)].map(
          (value) => ({ type, value }),
        ),
      ),
    })),
  );
  return [...documented, ...UNDOCUMENTED.map((path) => ({ method: "GET", path, parameters: [], bodies: [] }))];
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY"];
const TYPES = [
  "text/plain",
  "application/json; charset=utf-16",
  "application/xml",
  "multipart/form-data",
  "",
  "application/x-ndjson",
];
const ENCODINGS = ["gzip", "identity", "br", "deflate", "gzip, gzip", "x"];

/** One request: a good one in part of the cases, else one that is wrong in some way. */
export function makeRequest(random: Random, target: Target, key: string): WireRequest {
  const method = random.below(12) === 0 ? pick(random, METHODS) : target.method;
  const path = makePath(random, target);
  const { type, body } = makeBody(random, target);
  const headers = makeHeaders(random, key, type, body.length);
  const isGzip = headers.some((header) => header === "content-encoding: gzip") && random.below(4) > 0;
  const sent = isGzip ? gzipSync(body) : body;
  const length = random.below(15) === 0 ? random.below(sent.length + 50) : sent.length;
  const framing = method === "GET" && sent.length === 0 ? [] : [`content-length: ${length}`];
  const head = [`${method} ${path} HTTP/1.1`, "host: tallymark", "connection: close", ...headers, ...framing];
  return {
    bytes: Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`, "latin1"), sent]),
    manner: pick(random, ["whole", "whole", "whole", "whole", "whole", "whole", "slow", "cut"]),
    title: `${method} ${path.slice(0, 300)} ${type}, ${body.subarray(0, 300)}`,
  };
}

function makePath(random: Random, { path, parameters }: Target): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => {
    const example = parameters.find((one) => one.name === name)?.example ?? "x";
    return encode(random, random.below(3) > 0 ? String(example) : oddText(random).slice(0, 2_000));
  });
  const query = parameters
    .filter((one) => one.in === "query" && random.below(2) === 0)
    .map(({ name, example = "1" }) => {
      const value = random.below(2) === 0 ? String([example].flat()[0]) : oddText(random).slice(0, 2_000);
      return `${name}${pick(random, ["=", "=", "=", "[]=", "[a]="])}${encode(random, value)}`;
    });
  if (random.below(10) === 0) query.push(...query, `${encode(random, oddText(random).slice(0, 500))}=1`);
  return query.length > 0 ? `${filled}?${query.join("&")}` : filled;
}

/** Mostly as it should be; now and then as it must not be, short of what would end the line. */
function encode(random: Random, text: string): string {
  if (random.below(8) === 0) return text.replace(/\s|\0/g, "%");
  return encodeURIComponent(text.toWellFormed());
}

function makeBody(random: Random, { bodies }: Target): { type: string; body: Buffer } {
  if (bodies.length === 0 && random.below(10) > 0) return { type: "", body: Buffer.alloc(0) };
  const { type, value } =
    bodies.length > 0 ? pick(random, bodies) : { type: "application/json", value: oddValue(random) };
  let changed = value;
  for (let i = random.below(4); i > 0; i--) changed = mutate(random, changed);
  const text = typeof changed === "string" ? changed : (JSON.stringify(changed) ?? "");
  const body = Buffer.from(random.below(6) === 0 ? spoil(random, text) : text);
  return {
    type: random.below(12) === 0 ? pick(random, TYPES) : type,
    body: random.below(10) === 0 ? garble(random, body) : body,
  };
}

function makeHeaders(random: Random, key: string, type: string, length: number): string[] {
  const headers = type ? [`content-type: ${type}`] : [];
  if (random.below(15) > 0) headers.push(`authorization: Bearer ${key}`);
  if (random.below(10) === 0) headers.push(`content-encoding: ${pick(random, ENCODINGS)}`);
  if (random.below(20) > 0) return headers;
  const odd = oddText(random).slice(0, 20_000);
  const tricks = [
    "transfer-encoding: chunked",
    `content-length: ${length + 1}`,
    "expect: 100-continue",
    "upgrade: h2c",
    "origin: https://elsewhere.example",
    `x-${odd.replace(/[^a-z]/g, "")}: ${odd.replace(/[\r\n]/g, " ")}`,
    `cookie: ${"a=b; ".repeat(2_000)}`,
    "authorization: Basic Og==",
    "ce-specversion: 1.0\r\nce-type: t\r\nce-source: s\r\nce-id: %F0%9F",
    "last-event-id: \u00ff\u00fe",
    "range: bytes=9-1,-5",
    "no colon",
    " folded: line",
  ];
  return [...headers, pick(random, tricks)];
}
