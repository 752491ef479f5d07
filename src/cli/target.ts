import { type Command, Option } from "commander";
import type { CliIo } from "./replay/io.ts";
import { defaultServiceUrl } from "./replay/url.ts";

/** Which service a command speaks to, and as whom. */
export interface Target {
  readonly url: string;
  readonly apiKey?: string | undefined;
}

export const API_KEY_VARIABLE = "TALLYMARK_API_KEY";

/** Where it is, and the key that it wants. */
export function withTarget(command: Command): Command {
  return withApiKey(command.option("--url <url>", "where the service is", defaultServiceUrl()));
}

export function withApiKey(command: Command): Command {
  const option = new Option("--api-key <key>", "where the service needs one; other users see arguments, not variables");
  return command.addOption(option.env(API_KEY_VARIABLE));
}

/** Sends the key with every request of a command. */
export function withKey<Io extends Pick<CliIo, "fetch">>(io: Io, apiKey: string | undefined): Io {
  if (!apiKey) return io;
  return {
    ...io,
    fetch: (input, init) => {
      const headers = new Headers(init?.headers);
      headers.set("authorization", `Bearer ${apiKey}`);
      return io.fetch(input, { ...init, headers });
    },
  };
}
