import { Type } from "typebox";

/** The shape of an event, for the OpenAPI document: events themselves are validated one by one in core/event.ts. */
const EventShape = Type.Object(
  {
    id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 128,
        description: "With `source`, identifies the event; the pair counts once. Absent: the server makes a ULID",
      }),
    ),
    source: Type.Optional(Type.String({ maxLength: 256, default: "" })),
    type: Type.String({ minLength: 1, maxLength: 128, description: "What counters choose their events by" }),
    time: Type.Optional(
      Type.Union([Type.String({ format: "date-time" }), Type.Integer()], {
        description: "RFC 3339 or epoch milliseconds; default: the time inside a ULID or UUIDv7 id, else arrival",
      }),
    ),
    subject: Type.Optional(Type.String({ maxLength: 1024 })),
    data: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: "Its fields are addressed as `data.a.b`" }),
    ),
  },
  { additionalProperties: true, description: "Other fields are ignored" },
);

const ORDER = { id: "order-17", type: "purchase", subject: "/shop", data: { amount: 19.9, customer: "ann" } };
const VIEW = { id: "view-1", source: "web", type: "view", time: "2026-01-05T10:00:00Z", subject: "/" };
const CLOUD_EVENT = { specversion: "1.0", id: "order-18", source: "shop", type: "purchase", subject: "/shop" };

/** What the body of `POST /v1/events` may be. */
export const EVENT_BODIES = {
  "application/json": Type.Union([EventShape, Type.Array(EventShape, { maxItems: 10_000 })], {
    examples: [ORDER, [ORDER, VIEW]],
  }),
  "application/x-ndjson": Type.String({
    description: "One event a line",
    examples: [`${JSON.stringify(ORDER)}\n${JSON.stringify(VIEW)}\n`],
  }),
  "application/cloudevents+json": Type.Object(EventShape.properties, {
    additionalProperties: true,
    examples: [CLOUD_EVENT],
  }),
  "application/cloudevents-batch+json": Type.Array(EventShape, {
    maxItems: 10_000,
    examples: [[CLOUD_EVENT, { ...CLOUD_EVENT, id: "order-19" }]],
  }),
} as const;
