import { readFile } from "node:fs/promises";
import { Ajv } from "ajv";
import { Type } from "typebox";
import { shapeFaults } from "../../core/faults.ts";
import { REQUEST_EVENTS_MAX, TIME_MAX_MS } from "../../core/limits.ts";
import { CommandFailure } from "../replay/io.ts";
import type { GeneratedRun } from "./generated.ts";

const isRun = new Ajv({ allErrors: true, strict: false }).compile(
  Type.Object(
    {
      seed: Type.Integer({ minimum: 0, maximum: 2 ** 32 - 1 }),
      startedAt: Type.Integer({ minimum: 0, maximum: TIME_MAX_MS }),
      batch: Type.Integer({ minimum: 1, maximum: REQUEST_EVENTS_MAX }),
      copies: Type.Integer({ minimum: 0, maximum: 100 }),
      iterations: Type.Record(Type.String({ pattern: "^\\d{1,6}$" }), Type.Integer({ minimum: 0 }), {
        additionalProperties: false,
      }),
      unknown: Type.Integer({ minimum: 0 }),
    },
    { additionalProperties: false },
  ),
);

/** Reads what a load script wrote about its run. Throws a CommandFailure when that does not say what was sent. */
export async function readManifest(file: string): Promise<GeneratedRun> {
  const run = await readJson(file);
  if (!isRun(run)) {
    const faults = shapeFaults(isRun.errors, "a run").map(({ field, detail }) => `${field || "it"}: ${detail}`);
    throw new CommandFailure(`${file}: is not the manifest of a run: ${faults.join("; ")}`);
  }
  const { unknown } = run as GeneratedRun;
  if (unknown > 0) throw new CommandFailure(`${file}: the outcome of ${unknown} requests is not known`);
  return run as GeneratedRun;
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new CommandFailure(`${file}: ${(error as Error).message}`);
  }
}
