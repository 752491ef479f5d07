import { parseRetryAfter } from "./backoff.ts";
import { networkReason, type ProblemDocument, TallymarkError } from "./errors.ts";
import { isObject, parseJson } from "./json.ts";

export interface HttpOptions {
  /** The service's address; a path in front of `/v1` is kept. */
  readonly url: string;
  readonly apiKey?: string | undefined;
  /** One request, ms. */
  readonly requestTimeoutMs: number;
}

export interface HttpRequest {
  readonly contentType?: string;
  readonly body?: string;
  /** The request outlives the page that makes it; its body is at most 64 KiB. */
  readonly keepalive?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Requests to one service. */
export class Http {
  readonly #base: URL;
  readonly #apiKey: string | undefined;
  readonly #timeoutMs: number;

  /** Throws a TypeError when the address is none. */
  constructor({ url, apiKey, requestTimeoutMs }: HttpOptions) {
    if (!URL.canParse(url) || !/^https?:/.test(url)) throw new TypeError(`url: "${url}" is no http or https address`);
    this.#base = new URL(url);
    this.#apiKey = apiKey;
    this.#timeoutMs = requestTimeoutMs;
  }

  /** The answer's JSON. Throws a TallymarkError for every answer that is no success, and for none. */
  async json(path: string, request: HttpRequest = {}): Promise<Record<string, unknown>> {
    const { contentType, body, keepalive = false, signal } = request;
    const timeout = AbortSignal.timeout(this.#timeoutMs);
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#address(path), {
        method: body === undefined ? "GET" : "POST",
        headers: {
          ...(contentType && { "content-type": contentType }),
          ...(this.#apiKey && { authorization: `Bearer ${this.#apiKey}` }),
        },
        ...(body !== undefined && { body }),
        keepalive,
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      });
      text = await response.text();
    } catch (error) {
      throw new TallymarkError(`${this.#base.origin} cannot be reached (${networkReason(error)})`, {
        status: 0,
        code: "network",
        cause: error,
      });
    }
    const answer = parseJson(text);
    if (response.ok && isObject(answer)) return answer;
    throw failureOf(response, answer);
  }

  /** Browsers cannot send headers with a WebSocket, hence the key in the address. */
  socketAddress(path: string): string {
    const address = new URL(this.#address(path));
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    if (this.#apiKey) address.searchParams.set("token", this.#apiKey);
    return address.href;
  }

  #address(path: string): string {
    return `${this.#base.origin}${this.#base.pathname.replace(/\/+$/, "")}${path}`;
  }
}

/** A success that is no JSON object comes from somebody else, a captive portal for instance: a later try may get through. */
function failureOf(response: Response, answer: unknown): TallymarkError {
  const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), Date.now());
  if (response.ok) return foreignAnswer(response.status, retryAfterMs);
  const { status } = response;
  if (isObject(answer) && typeof answer.code === "string") {
    const detail = typeof answer.detail === "string" ? answer.detail : `answered ${status}`;
    return new TallymarkError(detail, { status, code: answer.code, problem: answer as ProblemDocument, retryAfterMs });
  }
  return new TallymarkError(`answered ${status}`, { status, code: `http_${status}`, retryAfterMs });
}

export function foreignAnswer(status: number, retryAfterMs: number | null = null): TallymarkError {
  return new TallymarkError(`answered ${status}, which is no answer of Tallymark`, {
    status: 0,
    code: "network",
    retryAfterMs,
  });
}
