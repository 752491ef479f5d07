import { Problem } from "../core/problem.ts";

/**
 * Browsers let any page open a WebSocket to any host, and post to it, with what the user typed in there and from inside
 * the user's network, and say from which page: RFC 6455, section 10.2. Allowed are pages of this very host, and those on
 * the list.
 * Throws a Problem for any other. What is no browser sends no origin.
 */
export function checkOrigin(origin: string | undefined, host: string | undefined, allowed: readonly string[]): void {
  if (origin === undefined || allowed.includes(origin) || allowed.includes("*")) return;
  if (URL.canParse(origin) && new URL(origin).host === host) return;
  throw new Problem("forbidden_origin", `pages of ${origin} may not use this service; see TALLYMARK_ALLOWED_ORIGINS`);
}
