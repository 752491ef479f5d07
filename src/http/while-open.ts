import type { ServerResponse } from "node:http";

/** Aborted when the client leaves before its answer is complete. */
export function whileOpen(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once("close", () => controller.abort());
  return controller.signal;
}
