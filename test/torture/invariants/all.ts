import { alertsArrive } from "./alerts.ts";
import { bucketsAreExact } from "./buckets.ts";
import { bucketsHaveMoved } from "./cold.ts";
import { conductIsGood } from "./conduct.ts";
import { deadLettersArePoison } from "./dead-letters.ts";
import type { Invariant } from "./invariant.ts";
import { keysMaxHolds } from "./keys-max.ts";
import { lateIsLate, nothingIsMissing } from "./late.ts";
import { rankingsAreExact } from "./rankings.ts";
import { readmissionIsExact } from "./readmission.ts";
import { streamsAreDone } from "./streams.ts";
import { viewersAgree } from "./viewers.ts";

/** What must hold after every run. More go here. */
export const INVARIANTS: readonly Invariant[] = [
  conductIsGood,
  viewersAgree,
  streamsAreDone,
  nothingIsMissing,
  lateIsLate,
  bucketsAreExact,
  rankingsAreExact,
  keysMaxHolds,
  deadLettersArePoison,
  readmissionIsExact,
  bucketsHaveMoved,
  alertsArrive,
];
