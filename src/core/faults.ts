import type { ErrorObject } from "ajv";
import { Problem, type ProblemCode } from "./problem.ts";

/** One fault of a definition: the field and the rule it breaks. */
export interface FieldFault {
  readonly field: string;
  readonly detail: string;
}

export const DURATION_RULE = "must be <n>s, <n>m, <n>h or <n>d, at most 10000d";

/** What Ajv found, one fault a field; `thing` is what a field does not belong to, for instance "a counter". */
export function shapeFaults(errors: readonly ErrorObject[] | null | undefined, thing: string): FieldFault[] {
  const faults = new Map<string, string[]>();
  for (const { keyword, params, instancePath, message } of errors ?? []) {
    if (keyword === "anyOf") continue; // its branches are listed one by one
    const child = keyword === "additionalProperties" ? params.additionalProperty : params.missingProperty;
    const field = [...instancePath.split("/").slice(1), ...(child === undefined ? [] : [child])].join(".");
    const detail =
      keyword === "additionalProperties"
        ? `is not a field of ${thing}`
        : keyword === "required"
          ? "is required"
          : message;
    faults.set(field, [...(faults.get(field) ?? []), detail ?? "is invalid"]);
  }
  return [...faults].map(([field, details]) => ({ field, detail: [...new Set(details)].join(" or ") }));
}

/** A problem that names every fault. */
export function faultsProblem(code: ProblemCode, faults: readonly FieldFault[]): Problem {
  const detail = faults.map((fault) => `${fault.field || "body"}: ${fault.detail}`).join("; ");
  return new Problem(code, detail, { faults });
}
