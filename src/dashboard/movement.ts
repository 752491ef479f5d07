import type { Key, Ranked } from "./api.ts";

/** `up` and `down` by places, against an earlier ranking. */
export type Movement =
  | { readonly kind: "up" | "down"; readonly places: number }
  | { readonly kind: "same" | "new"; readonly places?: never };

/** How each key of a ranking moved since an earlier one, in order of the ranking. */
export function movements(ranking: readonly Ranked[], earlier: readonly Key[]): Movement[] {
  const places = new Map(earlier.map((key, place) => [JSON.stringify(key), place]));
  return ranking.map(({ key }, place) => {
    const before = places.get(JSON.stringify(key));
    if (before === undefined) return { kind: "new" };
    if (before === place) return { kind: "same" };
    return { kind: before > place ? "up" : "down", places: Math.abs(before - place) };
  });
}
