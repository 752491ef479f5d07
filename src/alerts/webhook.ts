import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import type { LookupFunction } from "node:net";
import { RequestFilteringHttpAgent, RequestFilteringHttpsAgent } from "request-filtering-agent";
import { Webhook as Signer } from "standardwebhooks";
import { version } from "../version.ts";
import { PRIVATE, publicLookup, urlFault } from "./address.ts";
import type { AlertEvent } from "./event.ts";
import type { Webhook } from "./rule.ts";

/** An attempt that has not ended after this long has failed, ms: connecting, waiting and reading together. */
const ATTEMPT_MAX_MS = 15_000;
/** Bytes read of an answer; only its status matters. */
const ANSWER_BYTES_MAX = 64 * 1024;

export interface WebhookOptions {
  /** Also addresses that are not on the public internet. */
  readonly allowPrivate: boolean;
  readonly attemptMaxMs?: number;
  /** How names become addresses. */
  readonly lookup?: LookupFunction;
}

/** What came of an attempt. Of the answer nothing but its status is told to anybody. */
export type Attempt =
  | { readonly kind: "delivered"; readonly status: number }
  | {
      readonly kind: "failed" | "gone";
      readonly status?: number;
      readonly detail: string;
      /** As the receiver asked, ms. */
      readonly retryAfterMs?: number;
    };

/** Sends messages as https://www.standardwebhooks.com specifies. */
export class WebhookSender {
  readonly #options: WebhookOptions;
  readonly #http: http.Agent;
  readonly #https: https.Agent;

  constructor(options: WebhookOptions) {
    this.#options = options;
    // Addresses are judged within the lookup of the connection itself, so that no second lookup can differ, and no
    // connection is kept, so that each attempt is judged. The agents judge once more, those in URLs included.
    const { allowPrivate } = options;
    const filter = { allowPrivateIPAddress: allowPrivate, allowMetaIPAddress: allowPrivate, keepAlive: false };
    this.#http = new RequestFilteringHttpAgent(filter);
    this.#https = new RequestFilteringHttpsAgent(filter);
  }

  async send(webhook: Webhook, event: AlertEvent, now: number, stop: AbortSignal): Promise<Attempt> {
    const { allowPrivate } = this.#options;
    if (urlFault(webhook.url, allowPrivate)) return { kind: "failed", detail: NOT_PUBLIC };
    const body = bodyOf(webhook, event);
    try {
      return judge(await this.#post(webhook.url, headersOf(webhook, event.id, body, now), body, stop));
    } catch (error) {
      if (stop.aborted) throw error;
      return { kind: "failed", detail: failureOf(error as NodeJS.ErrnoException) };
    }
  }

  #post(url: string, headers: Record<string, string>, body: string, signal: AbortSignal) {
    const isPlain = new URL(url).protocol === "http:";
    const { request } = isPlain ? http : https;
    const { allowPrivate, attemptMaxMs = ATTEMPT_MAX_MS } = this.#options;
    const lookup = allowPrivate ? this.#options.lookup : publicLookup(this.#options.lookup);
    return new Promise<IncomingMessage>((resolve, reject) => {
      const agent = isPlain ? this.#http : this.#https;
      const sent = request(url, { method: "POST", agent, headers, signal, ...(lookup && { lookup }) });
      const timer = setTimeout(() => sent.destroy(new Error(`no complete answer in ${attemptMaxMs} ms`)), attemptMaxMs);
      sent.on("error", reject);
      sent.on("close", () => clearTimeout(timer));
      sent.on("response", (answer) => {
        let bytes = 0;
        answer.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) sent.destroy();
          if (bytes > ANSWER_BYTES_MAX) resolve(answer);
        });
        answer.on("end", () => resolve(answer));
        answer.on("error", reject);
      });
      sent.end(body);
    });
  }
}

/** Redirects are not followed: they could lead anywhere. */
function judge({ statusCode: status = 0, headers }: IncomingMessage): Attempt {
  if (status >= 200 && status < 300) return { kind: "delivered", status };
  if (status === 410) return { kind: "gone", status, detail: "the endpoint is gone" };
  const retryAfterMs = parseRetryAfter(headers["retry-after"]);
  return { kind: "failed", status, detail: `answered ${status}`, ...(retryAfterMs !== null && { retryAfterMs }) };
}

/** Seconds, or a date (RFC 9110, 10.2.3). */
function parseRetryAfter(text: string | undefined): number | null {
  if (text === undefined) return null;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? null : Math.max(0, ms);
}

const NOT_PUBLIC = "the address is not on the public internet";

/** Only what the sender knows by itself: no addresses, no bytes of an answer. */
function failureOf({ message, code }: NodeJS.ErrnoException): string {
  if (message === PRIVATE || message.includes("is not allowed")) return NOT_PUBLIC;
  if (message.startsWith("no complete answer")) return message;
  return `the connection failed${code ? ` (${code})` : ""}`;
}

/** During a rotation both secrets sign. */
export function headersOf(webhook: Webhook, id: string, body: string, now: number): Record<string, string> {
  const { secret, previous } = webhook;
  const secrets = [secret, ...(previous && now < previous.until ? [previous.secret] : [])];
  return {
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    "user-agent": `Tallymark/${version}`,
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(now / 1_000)),
    "webhook-signature": secrets.map((one) => new Signer(one).sign(id, new Date(now), body)).join(" "),
  };
}

/** The same for every attempt. */
export function bodyOf({ format }: Webhook, event: AlertEvent): string {
  if (format === "slack") return JSON.stringify({ text: slackText(event) });
  const { type, time, ...data } = event;
  return JSON.stringify({ type: `alert.${type}`, timestamp: time, data });
}

/** https://docs.slack.dev/messaging/formatting-message-text: three characters are escaped. */
function slackText({ type, name, counter, key, measure, op, threshold, compare, value, from, to }: AlertEvent): string {
  const of = key === null ? counter : `${counter} ${key.join(" / ")}`;
  const unit = compare ? " % against the span before" : "";
  const title = `${type === "firing" ? "FIRING" : "resolved"}: ${name}`;
  const text = `${title}\n${measure} of ${of}: ${value ?? "no value"}${unit} (alert at ${op} ${threshold})`;
  const span = from && to ? `, ${from} to ${to}` : "";
  return `${text}${span}`.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
