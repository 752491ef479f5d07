import { Type } from "typebox";

/** The shape of an event, for the OpenAPI document: events themselves are validated one by one in core/event.ts. */
const EventShape = Type.Object(
  {
    id: Type.Optional(
      Type.String({ minLength: 1, maxLength: 128, description: "With `source`, identifies the event" }),
    ),
    source: Type.Optional(Type.String({ maxLength: 256, default: "" })),
    type: Type.String({ minLength: 1, maxLength: 128 }),
    time: Type.Optional(
      Type.Union([Type.String({ format: "date-time" }), Type.Integer()], {
        description: "RFC 3339 or epoch milliseconds; default: the time inside a ULID or UUIDv7 id, else arrival",
      }),
    ),
    subject: Type.Optional(Type.String({ maxLength: 1024 })),
    data: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  },
  { examples: [{ id: "order-17", type: "purchase", subject: "/shop", data: { amount: 19.9 } }] },
);

const EventOrEvents = Type.Union([EventShape, Type.Array(EventShape, { maxItems: 10_000 })]);

/** What the body of `POST /v1/events` may be. */
export const EVENT_BODIES = {
  "application/json": EventOrEvents,
  "application/x-ndjson": Type.String({ description: "One event a line" }),
  "application/cloudevents+json": EventShape,
  "application/cloudevents-batch+json": Type.Array(EventShape),
} as const;
