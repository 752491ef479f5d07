import { CommandFailure } from "./io.ts";

/** Where the service listens on this machine unless it was told otherwise. */
export function defaultServiceUrl(environment: NodeJS.ProcessEnv = process.env): string {
  return `http://127.0.0.1:${environment.TALLYMARK_PORT || 8080}`;
}

/** The service's address without a trailing slash, so that paths can be appended. */
export function parseServiceUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new CommandFailure(`--url: "${text}" is not an http or https address`);
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}
