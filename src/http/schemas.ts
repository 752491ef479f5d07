import { Type } from "typebox";
import { PROBLEMS } from "../core/problem.ts";

/** Shapes that several routes share, for validation and for the OpenAPI document. */

export const ProblemSchema = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String({ description: "Stable name of the error" }),
    detail: Type.String(),
  },
  { additionalProperties: true, description: "RFC 9457 problem details" },
);

/** The problem answers of a route, for its OpenAPI entry: each status with the codes it may have. */
export function problems(...statuses: number[]) {
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      {
        description: codesOf(status),
        ...((status === 429 || status === 503) && {
          headers: { "retry-after": { type: "integer", description: "Seconds" } },
        }),
        content: { "application/problem+json": { schema: ProblemSchema } },
      },
    ]),
  );
}

const codesOf = (status: number) =>
  Object.entries(PROBLEMS)
    .filter(([, problem]) => problem.status === status)
    .map(([code, { title }]) => `\`${code}\`: ${title}`)
    .join("; ");

/** A count or a sum: a number up to 2^53−1 (of micro-units for sums), a decimal string beyond. */
export const BigNumber = Type.Union([Type.Number(), Type.String()]);
