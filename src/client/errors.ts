/** RFC 9457 problem document of the service; `docs/errors.md` lists the codes. */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly [member: string]: unknown;
}

export interface ErrorFacts {
  /** 0: there was no answer. */
  readonly status: number;
  readonly code: string;
  readonly problem?: ProblemDocument | null;
  /** How long the service asked to wait, ms. */
  readonly retryAfterMs?: number | null;
  readonly cause?: unknown;
}

/** A request that did not succeed. */
export class TallymarkError extends Error {
  override readonly name = "TallymarkError";
  /** HTTP status; 0 where there was no answer. */
  readonly status: number;
  /** The problem's code; `network` where there was no answer, `http_<status>` where it was none of Tallymark's. */
  readonly code: string;
  readonly problem: ProblemDocument | null;
  /** How long the service asked to wait, ms. */
  readonly retryAfterMs: number | null;

  constructor(message: string, { status, code, problem = null, retryAfterMs = null, cause }: ErrorFacts) {
    super(message, { cause });
    this.status = status;
    this.code = code;
    this.problem = problem;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return isRetryable(this.status);
  }

  static ofProblem(problem: ProblemDocument): TallymarkError {
    return new TallymarkError(problem.detail, { status: problem.status, code: problem.code, problem });
  }
}

/** No answer (0), 408 (the request did not come in completely in time), 429, and whatever the service cannot help. */
export function isRetryable(status: number): boolean {
  return status === 0 || status === 408 || status === 429 || status >= 500;
}

/** What went wrong on the way to the service; fetch hides the reason in the cause. */
export function networkReason(error: unknown): string {
  const { name, message, cause } = error as Error;
  if (name === "TimeoutError") return "no answer in time";
  const { code, message: reason, errors } = (cause ?? {}) as Partial<Error> & { code?: string; errors?: Error[] };
  return reason || errors?.[0]?.message || code || message;
}
