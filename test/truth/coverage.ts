/** A place in a truth file, from its root. */
export type Path = readonly string[];

/** One text for one place; keys of counters hold slashes, so slashes cannot separate the steps. */
export function pathText(path: Path): string {
  return path.map((step) => JSON.stringify(step)).join("›");
}

export interface NotAskable {
  /** `*` stands for any one step; what lies below the place is meant too. */
  readonly path: Path;
  readonly why: string;
}

/**
 * What the truth files hold beyond what the counters of `counters.json` are able to answer. Everything else in them is
 * checked: `coverage.test.ts` fails on a figure that is neither here nor asked for.
 */
export const NOT_ASKABLE: readonly NotAskable[] = [
  { path: ["dataset"], why: "a name, not a figure" },
  { path: ["order"], why: "about the order of the log's lines" },
  {
    path: ["duplicates_same_in_all_but_id"],
    why: "events that differ in their id count each; only the log knows them",
  },
  { path: ["missing"], why: "counters do not count the events without a field" },
  { path: ["distinct_users_ci"], why: "counters do not fold case" },
  { path: ["value", "count"], why: "a sum does not keep how many values went into it" },
  { path: ["value", "min"], why: "counters keep no minimum" },
  { path: ["value", "max"], why: "counters keep no maximum" },
  { path: ["value", "negative"], why: "a sum does not keep the signs of its values" },
  { path: ["value", "zero"], why: "a sum does not keep which values were zero" },
  { path: ["by_type", "*", "value_count"], why: "a sum does not keep how many values went into it" },
  { path: ["peaks", "second"], why: "the finest window of the counters is 10s" },
  { path: ["per_day", "*", "value_count"], why: "a sum does not keep how many values went into it" },
  { path: ["per_hour", "*", "value_count"], why: "a sum does not keep how many values went into it" },
  { path: ["dims", "*", "keys_with_space_or_reserved"], why: "which characters are reserved is not defined" },
  { path: ["dims", "*", "top20", "*", "value_count"], why: "a sum does not keep how many values went into it" },
  { path: ["dims", "*", "top20", "*", "by_type"], why: "no counter is by this dimension and by type" },
  { path: ["dims", "*", "top20_by_type"], why: "no counter is by this dimension and by type" },
  { path: ["dims", "*", "top5", "*", "value_count"], why: "a sum does not keep how many values went into it" },
  { path: ["dims", "*", "top5", "*", "by_type"], why: "no counter is by this dimension and by type" },
  { path: ["dims", "*", "top5", "*", "per_day", "*", "value_count"], why: "as above, of a day" },
  { path: ["dims", "*", "top5", "*", "per_day", "*", "by_type"], why: "as above, of a day" },
  { path: ["dims", "*", "top5", "*", "per_hour", "*", "value_count"], why: "as above, of an hour" },
];

export function isNotAskable(path: Path): boolean {
  return NOT_ASKABLE.some((listed) => meets(listed.path, path));
}

/** Whether the place lies at or below the listed one. */
export function meets(listed: Path, path: Path): boolean {
  return listed.length <= path.length && listed.every((step, i) => step === "*" || step === path[i]);
}

/** The places of everything that has no further structure. An empty list is a statement as well. */
export function leafPaths(value: unknown, at: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [at];
  const entries = Object.entries(value);
  return entries.length === 0 ? [at] : entries.flatMap(([step, inner]) => leafPaths(inner, [...at, step]));
}
