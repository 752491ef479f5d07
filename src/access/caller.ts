import type { ApiKey } from "../core/api-key.ts";

/** Who made a request. */
export interface Caller {
  /** Id of the key, or the client's address where no key is needed. */
  readonly id: string;
  /** `null`: no key is needed. */
  readonly key: ApiKey | null;
}

declare module "fastify" {
  interface FastifyRequest {
    /** Set for every route that needs a scope. */
    caller: Caller | null;
  }
}
