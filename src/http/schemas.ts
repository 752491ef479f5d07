import { Type } from "typebox";

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

/** The problem answers of a route, for its OpenAPI entry. */
export function problems(...statuses: number[]) {
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      { description: "Problem", content: { "application/problem+json": { schema: ProblemSchema } } },
    ]),
  );
}

/** A count or a sum: a number up to 2^53−1 (of micro-units for sums), a decimal string beyond. */
export const BigNumber = Type.Union([Type.Number(), Type.String()]);
