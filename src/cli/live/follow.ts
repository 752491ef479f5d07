import { type AnswerOf, type LiveQuery, Tallymark, type TallymarkError } from "../../client/index.ts";
import { type CliIo, CommandFailure } from "../replay/io.ts";
import { parseServiceUrl } from "../replay/url.ts";
import type { Target } from "../target.ts";

export interface Followed<Data> {
  onData(data: Data): void;
  /** @param trouble `null`: all is well again */
  onTrouble(trouble: string | null): void;
}

/**
 * Follows a feed until `io.signal` is aborted. A connection that breaks, or cannot be made yet, is tried again for as long
 * as that. Throws a CommandFailure when the service says that there is nothing to follow.
 */
export async function follow<const Q extends LiveQuery>(
  { url, apiKey }: Target,
  query: Q,
  followed: Followed<AnswerOf<Q>>,
  io: Pick<CliIo, "signal">,
): Promise<void> {
  const address = parseServiceUrl(url);
  const client = new Tallymark({ url: address, ...(apiKey && { apiKey }) });
  let failure: TallymarkError | undefined;
  await new Promise<void>((resolve) => {
    if (io.signal.aborted) return resolve();
    io.signal.addEventListener("abort", () => resolve(), { once: true });
    client.subscribe(query, {
      onData: (data) => followed.onData(data),
      onError: (error) => {
        failure = error;
        if (error.retryable) followed.onTrouble(error.message);
      },
      onState: (state, reason) => {
        if (state === "open") followed.onTrouble(null);
        else if (state === "reconnecting")
          followed.onTrouble(`${address} ${reason ?? "cannot be reached"}; trying again`);
        else if (state === "closed") resolve();
      },
    });
  });
  await client.close();
  if (failure && !failure.retryable && !io.signal.aborted) throw new CommandFailure(failure.message);
}
