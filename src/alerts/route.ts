import type { FastifyPluginAsyncTypebox } from "@fastify/type-provider-typebox";
import { Type } from "typebox";
import { parseDuration } from "../core/duration.ts";
import { DURATION_RULE, faultsProblem } from "../core/faults.ts";
import { Problem } from "../core/problem.ts";
import { problems } from "../http/schemas.ts";
import type { Scripts } from "../redis/scripts.ts";
import { createRule, removeRule, replaceRule, silenceRule, unknownAlert } from "./edit.ts";
import { listEvents, resendEvent } from "./history.ts";
import { AlertInput, type ParsedAlert, parseAlert, type Rule } from "./rule.ts";
import { findRule, RuleBook } from "./store.ts";
import { AlertViews, type ViewsDependencies } from "./view.ts";

export interface AlertRoutesOptions extends ViewsDependencies {
  readonly scripts: Scripts;
  readonly allowPrivate: boolean;
}

const Path = Type.Object({ id: Type.String() });
const EventPath = Type.Object({ id: Type.String(), event: Type.String() });
const Cursor = Type.Union([Type.String(), Type.Null()]);
const Open = { additionalProperties: true } as const;
const Nullable = (type: ReturnType<typeof Type.String | typeof Type.Number>) => Type.Union([type, Type.Null()]);
const State = Type.Union(["inactive", "pending", "firing", "stale"].map((state) => Type.Literal(state)));
const Alert = Type.Object(
  { id: Type.String(), state: State, since: Nullable(Type.String()), value: Nullable(Type.Number()) },
  { ...Open, description: "The rule as it was written, and how it stands; `webhook.secret` only when it was just set" },
);
const Event = Type.Object(
  {
    id: Type.String({ description: "The message's webhook-id" }),
    type: Type.Union([Type.Literal("firing"), Type.Literal("resolved")]),
    time: Type.String(),
    delivery: Type.Object({ outcome: Type.String() }, Open),
  },
  Open,
);

const Written = Type.Object(AlertInput.properties, {
  additionalProperties: false,
  examples: [
    {
      name: "checkout is down",
      counter: "sales",
      last: "5m",
      op: "<",
      threshold: 10,
      for: "1m",
      webhook: { url: "https://hooks.example.org/tallymark" },
    },
    { name: "busy page", counter: "sales", key: "*", measure: "sum", last: "1h", op: ">", threshold: 1000 },
  ],
});

const PAGE = { default: 100, max: 1_000 } as const;

export const alertRoutes: FastifyPluginAsyncTypebox<AlertRoutesOptions> = async (app, options) => {
  const { client, registry, allowPrivate, now } = options;
  const views = new AlertViews(options);
  const book = new RuleBook(client);
  const tags = ["Alerts"];

  const parse = (body: unknown): ParsedAlert => {
    const parsed = parseAlert(body, (name) => registry.current.find(name), allowPrivate);
    if (Array.isArray(parsed)) throw faultsProblem("invalid_alert", parsed);
    return parsed;
  };
  const find = async (id: string): Promise<Rule> => {
    const rule = await findRule(client, id);
    if (!rule) throw unknownAlert(id);
    return rule;
  };
  /** The secret is shown when it was just set, and never again. */
  const show = async (rule: Rule, secret: string | undefined = undefined) => {
    const [shown] = await views.show([rule]);
    return { ...shown, ...(secret !== undefined && { webhook: { ...shown?.webhook, secret } }) };
  };
  // The handlers validate, so that all faults are told at once.
  const written = { validatorCompiler: () => () => true };

  app.post(
    "/v1/alerts",
    {
      config: { scope: "admin" },
      ...written,
      schema: {
        tags,
        operationId: "createAlert",
        summary: "Make an alert",
        body: Written,
        response: { 201: Alert, ...problems(400, 409, 503) },
      },
    },
    async ({ body }, reply) => {
      const rule = await createRule(options, parse(body), await now());
      return reply
        .code(201)
        .header("location", `/v1/alerts/${rule.id}`)
        .send((await show(rule, rule.webhook?.secret)) as never);
    },
  );

  app.get(
    "/v1/alerts",
    {
      config: { scope: "read" },
      schema: {
        tags,
        operationId: "listAlerts",
        summary: "Alerts and how they stand, in the order in which they were made",
        querystring: Type.Object({
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE.max })),
          cursor: Type.Optional(Type.String()),
        }),
        response: {
          200: Type.Object({ alerts: Type.Array(Alert), cursor: Cursor }, { description: "One page" }),
          ...problems(400, 503),
        },
      },
    },
    async ({ query: { limit = PAGE.default, cursor = "" } }) => {
      const rules = [...(await book.read()).values()].filter(({ id }) => id > cursor).sort(byId);
      const page = rules.slice(0, limit);
      const next = rules.length > limit ? (page.at(-1)?.id ?? null) : null;
      return { alerts: (await views.show(page)) as never[], cursor: next };
    },
  );

  app.get(
    "/v1/alerts/:id",
    {
      config: { scope: "read" },
      schema: {
        tags,
        operationId: "getAlert",
        summary: "One alert",
        params: Path,
        response: { 200: Alert, ...problems(404, 503) },
      },
    },
    async ({ params }) => (await show(await find(params.id))) as never,
  );

  app.put(
    "/v1/alerts/:id",
    {
      config: { scope: "admin" },
      ...written,
      schema: {
        tags,
        operationId: "putAlert",
        summary: "Replace an alert",
        description:
          "It keeps its state unless counter, key, measure or compare change. Without a secret the old one stays; a new one is shown once, and the old one signs beside it for 24 hours.",
        params: Path,
        body: Written,
        response: { 200: Alert, ...problems(400, 404, 503) },
      },
    },
    async ({ params, body }) => {
      const before = await find(params.id);
      const rule = await replaceRule(
        options,
        params.id,
        parse(body),
        (name) => registry.current.find(name),
        await now(),
      );
      const isNew = rule.webhook?.secret !== before.webhook?.secret;
      return (await show(rule, isNew ? rule.webhook?.secret : undefined)) as never;
    },
  );

  app.delete(
    "/v1/alerts/:id",
    {
      config: { scope: "admin" },
      schema: {
        tags,
        operationId: "deleteAlert",
        summary: "Delete an alert with its history",
        description: "Nothing is sent any more, for a firing neither.",
        params: Path,
        response: { 204: Type.Null({ description: "Deleted" }), ...problems(404, 503) },
      },
    },
    async ({ params }, reply) => {
      await removeRule(options, params.id);
      return reply.code(204).send(null);
    },
  );

  app.get(
    "/v1/alerts/:id/events",
    {
      config: { scope: "read" },
      schema: {
        tags,
        operationId: "listAlertEvents",
        summary: "Transitions of an alert and how their deliveries stand, newest first",
        params: Path,
        querystring: Type.Object({
          cursor: Type.Optional(Type.String()),
          outcome: Type.Optional(Type.String({ description: "Only deliveries that stand so, for instance dead" })),
        }),
        response: {
          200: Type.Object({ events: Type.Array(Event), cursor: Cursor }, { description: "One page" }),
          ...problems(400, 404, 503),
        },
      },
    },
    async ({ params, query }) => {
      await find(params.id);
      return (await listEvents(client, params.id, query.cursor, query.outcome)) as never;
    },
  );

  app.post(
    "/v1/alerts/:id/events/:event/resend",
    {
      config: { scope: "admin" },
      schema: {
        tags,
        operationId: "resendAlertEvent",
        summary: "Deliver an event once more, under its own webhook-id",
        params: EventPath,
        response: {
          202: Type.Object({ id: Type.String() }, { description: "On its way" }),
          ...problems(404, 409, 503),
        },
      },
    },
    async ({ params: { id, event } }, reply) => {
      const { webhook } = await find(id);
      if (!webhook || webhook.disabledAt !== undefined) {
        throw new Problem("alert_conflict", `alert "${id}" has no webhook, or a disabled one`);
      }
      await resendEvent(options, id, event);
      return reply.code(202).send({ id: event });
    },
  );

  const silence = async (id: string, until: number) =>
    (await show(await silenceRule(options, id, until, await now()))) as never;

  app.post(
    "/v1/alerts/:id/silence",
    {
      config: { scope: "admin" },
      schema: {
        tags,
        operationId: "silenceAlert",
        summary: "Deliver nothing for a while",
        params: Path,
        body: Type.Object({ for: Type.String({ description: "A duration" }) }, { examples: [{ for: "1h" }] }),
        response: { 200: Alert, ...problems(400, 404, 503) },
      },
    },
    async ({ params, body }) => {
      const ms = parseDuration(body.for);
      if (ms === null) throw new Problem("invalid_parameter", `for: ${DURATION_RULE}`);
      return silence(params.id, (await now()) + ms);
    },
  );

  app.delete(
    "/v1/alerts/:id/silence",
    {
      config: { scope: "admin" },
      schema: {
        tags,
        operationId: "endSilence",
        summary: "End a silence",
        params: Path,
        response: { 200: Alert, ...problems(404, 503) },
      },
    },
    async ({ params }) => silence(params.id, 0),
  );
};

const byId = (a: Rule, b: Rule) => (a.id < b.id ? -1 : 1);
