import { type CliIo, CommandFailure } from "../replay/io.ts";
import { createProgress } from "../replay/progress.ts";
import { parseServiceUrl } from "../replay/url.ts";
import { type RebuildAnswer, Service } from "../service.ts";

export interface RebuildOptions {
  readonly counter: string;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly url: string;
}

/** Between two looks at how far it is, ms. */
const LOOK_MS = 500;

/**
 * Has a service count a counter anew from its lake and waits until that is done, then prints a summary. Interrupted, it
 * leaves the service to it. Throws a CommandFailure when it fails.
 */
export async function runRebuild({ counter, from, to, url }: RebuildOptions, io: CliIo): Promise<void> {
  const service = new Service(parseServiceUrl(url), io);
  const started = io.clock.now();
  await service.askRebuild(counter, { from, to });
  const progress = createProgress(io);
  let shown = "";
  try {
    for (;;) {
      const status = await service.rebuild(counter);
      if (status.state === "failed") throw new CommandFailure(`${counter} was not rebuilt: ${status.reason}`);
      if (status.state === "done") {
        const seconds = Math.round(io.clock.now() - started) / 1_000;
        io.stdout.write(`${JSON.stringify({ counter, events: status.events, seconds })}\n`);
        return;
      }
      if (status.state !== shown) progress.start(status.state, status.state === "counting" ? status.all : null);
      shown = status.state;
      progress.update(status.read, noteOf(status));
      await io.clock.sleep(LOOK_MS, io.signal);
      if (io.signal.aborted) throw new CommandFailure("interrupted; the service goes on with it");
    }
  } finally {
    progress.stop();
  }
}

function noteOf({ state, events }: RebuildAnswer): string {
  return state === "waiting" ? "until the archive has what came before" : `${events} events`;
}
