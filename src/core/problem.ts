/**
 * Every error that a client can meet. `retryable`: the same request may succeed later. The table is what the OpenAPI
 * document and docs/errors.md are held against.
 */
export const PROBLEMS = {
  bad_request: { status: 400, title: "The request is malformed", retryable: false },
  invalid_events: { status: 400, title: "No event of the request was acceptable", retryable: false },
  invalid_counter: { status: 400, title: "The counter definition has faults", retryable: false },
  invalid_alert: { status: 400, title: "The alert has faults", retryable: false },
  invalid_span: { status: 400, title: "The span is not valid", retryable: false },
  invalid_window: { status: 400, title: "The counter has no such window", retryable: false },
  invalid_key: { status: 400, title: "The key does not fit the counter", retryable: false },
  invalid_parameter: { status: 400, title: "A parameter is not valid", retryable: false },
  invalid_api_key: { status: 400, title: "The API key's definition has faults", retryable: false },
  unauthorized: { status: 401, title: "A valid API key is needed", retryable: false },
  forbidden: { status: 403, title: "The API key lacks a scope", retryable: false },
  forbidden_origin: { status: 403, title: "The page's origin is not allowed", retryable: false },
  not_found: { status: 404, title: "There is no such resource", retryable: false },
  unknown_counter: { status: 404, title: "There is no such counter", retryable: false },
  unknown_alert: { status: 404, title: "There is no such alert", retryable: false },
  unknown_api_key: { status: 404, title: "There is no such API key", retryable: false },
  request_timeout: { status: 408, title: "The request did not come in completely in time", retryable: true },
  counter_conflict: { status: 409, title: "The counter exists with another definition", retryable: false },
  archive_off: { status: 409, title: "Raw events are not archived", retryable: false },
  alert_conflict: { status: 409, title: "The alert's state does not allow it", retryable: false },
  api_key_conflict: { status: 409, title: "The API keys do not allow it", retryable: false },
  top_disabled: { status: 409, title: "The counter keeps no leaderboard", retryable: false },
  too_large: { status: 413, title: "The request is too large", retryable: false },
  uri_too_long: { status: 414, title: "The address is too long", retryable: false },
  unsupported_media_type: { status: 415, title: "The media type or encoding is not supported", retryable: false },
  upgrade_required: { status: 426, title: "The resource is a WebSocket", retryable: false },
  rate_limited: { status: 429, title: "The caller's quota is used up", retryable: true },
  headers_too_large: { status: 431, title: "The headers are too large", retryable: false },
  overloaded: { status: 503, title: "Too much is waiting already", retryable: true },
  unavailable: { status: 503, title: "Storage cannot take or answer this now", retryable: true },
  internal: { status: 500, title: "The service made a mistake", retryable: true },
} as const;

export type ProblemCode = keyof typeof PROBLEMS;

/** An error for a client, shown as RFC 9457 `application/problem+json`. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly code: ProblemCode;
  /** Further members of the problem document. */
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(code: ProblemCode, detail: string, extra: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
    super(detail, { cause });
    this.code = code;
    this.extra = extra;
  }

  get status(): number {
    return PROBLEMS[this.code].status;
  }

  toDocument(): ProblemDocument {
    const { status, title } = PROBLEMS[this.code];
    return {
      type: `urn:tallymark:problem:${this.code}`,
      title,
      status,
      code: this.code,
      detail: this.message,
      ...this.extra,
    };
  }
}

export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ProblemCode;
  readonly detail: string;
}
