import { version } from "../version.ts";

/** Of the OpenAPI document, what belongs to no single route. */
export const DOCUMENT = {
  openapi: "3.1.0",
  info: {
    title: "Tallymark",
    summary: "Exact real-time counters on Redis",
    description:
      "Send events; look up how many, how much, how many different, and who leads, per key and time window. Every event " +
      "counts once, however often it is sent. Errors are RFC 9457 problem documents whose `code` is stable.",
    version,
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  },
  servers: [{ url: "/", description: "The service that serves this document" }],
  tags: [
    { name: "Events", description: "Sending what is to be counted" },
    { name: "Counters", description: "What is counted, by which key, in which windows" },
    { name: "Lookups", description: "Numbers over a span of event time, wherever their buckets lie" },
    { name: "Live", description: "Lookups that stay open" },
    { name: "Alerts", description: "Rules on one number of a counter, and the webhooks they tell" },
    { name: "Ledgers", description: "Events that came too late or cannot be applied; none is lost" },
    { name: "API keys", description: "Who may do what" },
    { name: "Operations", description: "Health and metrics" },
  ],
};
