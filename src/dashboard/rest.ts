import type { ProblemDocument } from "./api.ts";

/** How long an answer is waited for, ms. */
const TIMEOUT_MS = 15_000;
const TOKEN = "tallymark.token";

/** What the service, or the way to it, had against a request. */
export class RequestFailed extends Error {
  override readonly name = "RequestFailed";
  /** 0: there was no answer. */
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/** The API key of this tab; kept until the tab is closed and never part of a link. */
export const token = {
  get: (): string | null => sessionStorage.getItem(TOKEN),
  set: (value: string): void => sessionStorage.setItem(TOKEN, value),
};

export interface RequestOptions {
  readonly method?: string;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** Throws `RequestFailed` for every outcome but success and being aborted. */
export async function request<Answer>(
  path: string,
  { method = "GET", body, signal }: RequestOptions = {},
): Promise<Answer> {
  const key = token.get();
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      headers: {
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(key !== null && { authorization: `Bearer ${key}` }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new RequestFailed(0, "unreachable", "the service does not answer");
  }
  if (!response.ok) throw await toFailure(response);
  return (response.status === 204 ? undefined : await response.json()) as Answer;
}

async function toFailure(response: Response): Promise<RequestFailed> {
  const problem = (await response.json().catch(() => ({}))) as Partial<ProblemDocument>;
  const detail = problem.detail ?? `the service answered ${response.status}`;
  return new RequestFailed(response.status, problem.code ?? "unknown", detail);
}
