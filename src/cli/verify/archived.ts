import { openLake, parseLocation } from "../../lake/location.ts";
import { readDistinct } from "../../lake/reader.ts";
import type { LakeRow } from "../../lake/rows.ts";
import { CommandFailure } from "../replay/io.ts";
import type { Progress } from "../replay/progress.ts";
import type { Recount } from "./recount.ts";

const EVERYTHING = { from: 0, to: Number.POSITIVE_INFINITY };

/** Counts every event of a lake anew. Throws a CommandFailure when it cannot be read, or is not what its manifest says. */
export async function readArchived(location: string, recount: Recount, progress: Progress, now: number): Promise<void> {
  try {
    const store = await openLake(parseLocation(location));
    const onSegment = (read: number, all: number) => {
      if (read === 1) progress.start(location, all);
      progress.update(read, `${recount.events} events`);
    };
    for await (const rows of readDistinct({ store, span: EVERYTHING, includes: () => true, onSegment })) {
      for (const row of rows) recount.addLine(lineOf(row), `${location}, event ${row.id}`, now);
    }
  } catch (error) {
    throw new CommandFailure(`--archive: ${location}: ${(error as Error).message}`);
  }
}

function lineOf({ id, source, type, time, subject, data }: LakeRow): string {
  return JSON.stringify({ id, source, type, time, subject, data: data === null ? null : JSON.parse(data) });
}
