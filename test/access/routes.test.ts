import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { FastifyInstance, RouteOptions } from "fastify";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SCOPES, type Scope } from "../../src/core/api-key.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { bearer, keysFor, newKey, VIEWS } from "./support.ts";

interface Route {
  readonly method: string;
  readonly url: string;
  readonly scope: string | undefined;
}

let app: TestApp;
let routes: readonly Route[];
let keys: Record<Scope, string>;

beforeAll(async () => {
  const found: RouteOptions[] = [];
  const onInit = (message: unknown) => {
    (message as { fastify: FastifyInstance }).fastify.addHook("onRoute", (route) => void found.push(route));
  };
  subscribe("fastify.initialization", onInit);
  const file = await keysFor({ ingest: ["ingest"], read: ["read"], admin: ["admin"] });
  keys = file.keys;
  app = await startTestApp([VIEWS], { TALLYMARK_API_KEYS_FILE: file.path });
  unsubscribe("fastify.initialization", onInit);
  routes = found.flatMap(({ method, url, config }) =>
    [method].flat().map((one) => ({ method: one, url, scope: config?.scope })),
  );
});
afterAll(() => app.stop());

/** Said once more, and in another way than beside the routes. */
function expectedScope({ method, url }: Route): Scope | "open" {
  if (url.startsWith("/jobs") || url.startsWith("/v1/keys")) return "admin";
  if (url === "/v1/events") return "ingest";
  if (url === "/metrics") return "read";
  if (!url.startsWith("/v1/")) return "open";
  return method === "GET" || method === "HEAD" || url === "/v1/query" ? "read" : "admin";
}

/** A path that the route matches; nothing that it names exists. */
const pathOf = ({ url }: Route) => url.replaceAll(/:\w+/g, "nothing").replaceAll("*", "nothing");

const ask = (route: Route, key: string | null) =>
  app.call(route.method, pathOf(route), undefined, key === null ? {} : bearer(key));

test("every route names a scope, and the right one", () => {
  expect(routes.length).toBeGreaterThan(50);
  const named = routes.map((route) => `${route.method} ${route.url} ${route.scope}`);
  expect(named).toEqual(routes.map((route) => `${route.method} ${route.url} ${expectedScope(route)}`));
});

test("a route lets in the keys that have its scope, and no others", async () => {
  const wrong: string[] = [];
  for (const route of routes) {
    for (const scope of SCOPES) {
      const { status, body } = await ask(route, keys[scope]);
      const isIn = route.scope === "open" || route.scope === scope;
      const isRight = isIn ? status !== 401 && status !== 403 : status === 403;
      const isNamed = isIn || route.method === "HEAD" || (body.code === "forbidden" && body.scope === route.scope);
      if (!isRight || !isNamed) wrong.push(`${route.method} ${route.url} with ${scope}: ${status}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("without a key, or with somebody else's, only what is open answers", async () => {
  const wrong: string[] = [];
  for (const route of routes) {
    for (const key of [null, newKey()]) {
      const { status } = await ask(route, key);
      if ((status === 401) !== (route.scope !== "open")) wrong.push(`${route.method} ${route.url}: ${status}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("the OpenAPI document says of every route which scope it takes", async () => {
  const { body: document } = await app.call("GET", "/openapi.json");
  const described = routes.filter(({ url, method }) => method !== "HEAD" && document.paths[toTemplate(url)]);
  expect(described.length).toBeGreaterThan(25);
  for (const { method, url, scope } of described) {
    const { security, responses } = document.paths[toTemplate(url)][method.toLowerCase()];
    expect([url, security[0]?.key ?? ["open"]]).toEqual([url, [scope]]);
    if (scope !== "open") expect(Object.keys(responses)).toEqual(expect.arrayContaining(["401", "403", "429"]));
  }
  expect(document.paths["/v1/live"].get.security).toEqual([{ key: ["read"] }, { token: ["read"] }]);
  expect(Object.keys(document.components.securitySchemes)).toEqual(["key", "token"]);
});

const toTemplate = (url: string) => url.replaceAll(/:(\w+)/g, "{$1}");
