/** Every limit of the product that is not configurable, with its unit. */

/** Largest serialized event, bytes. */
export const EVENT_BYTES_MAX = 64 * 1024;
/** Events in one request. */
export const REQUEST_EVENTS_MAX = 10_000;
/** Request body, bytes, before and after decompression. */
export const REQUEST_BYTES_MAX = 8 * 1024 * 1024;
/** How far ahead of its arrival an event's time may lie, milliseconds. */
export const FUTURE_MAX_MS = 5 * 60_000;
/** A clock that was at most this far behind wall time when it last advanced is live, milliseconds. */
export const LIVE_CLOCK_MAX_LAG_MS = 5 * 60_000;
/** How long `?wait=applied` waits, milliseconds. */
export const WAIT_APPLIED_MAX_MS = 10_000;

export const ID_BYTES_MAX = 128;
export const SOURCE_BYTES_MAX = 256;
export const TYPE_BYTES_MAX = 128;
export const SUBJECT_BYTES_MAX = 1024;
/** Last millisecond of the year 9999. */
export const TIME_MAX_MS = 253_402_300_799_999;
/** Largest magnitude of one summed value. */
export const SUM_VALUE_MAX = 9_000_000_000;

export const COUNTERS_MAX = 1_000;
export const BY_FIELDS_MAX = 8;
export const WINDOWS_MAX = 4;
export const PARTITIONS_MAX = 1_024;
/** Largest duration anywhere: about 27 years, so that sums of durations and times stay far from 2^53. */
export const DURATION_MAX_MS = 10_000 * 86_400_000;

/** Events in one stream entry: bounds how long one script may run. */
export const ENTRY_EVENTS_MAX = 1_000;
/** Events applied by one script call; a larger batch holds Redis for longer than about 5 ms. */
export const BATCH_EVENTS_MAX = 2_000;

/** Bytes that wait on one partition's stream before further events are refused. */
export const BACKLOG_BYTES_MAX = 256 * 1024 * 1024;
/** Share of Redis's `maxmemory` above which events are refused; the rest is for applying what waits. */
export const MEMORY_SHARE_MAX = 0.75;

/** Entries of a late ledger, or dead letters, that one partition keeps in Redis; the archive takes the oldest others. */
export const LEDGER_HOT = 1_000;
/** It takes them once there are so many: hundreds at a time, and none where few events are late. */
export const LEDGER_FULL = 1_500;

/**
 * Buckets of the next finer window that make up one of a window that is folded; where there are more, lookups would read
 * too much until it is, and the window is written with every event instead.
 */
export const FOLD_RATIO_MAX = 128;
/** Buckets of a window that may be left to its fold, so that lookups read at most so many times FOLD_RATIO_MAX in their place. */
export const FOLD_BEHIND_MAX = 32;

/** Buckets in one `series` answer. */
export const SERIES_BUCKETS_MAX = 10_000;
/** Buckets that one lookup may read from one partition. */
export const PLAN_BUCKETS_MAX = 100_000;
export const TOP_LIMIT_MAX = 1_000;
export const KEYS_LIMIT_MAX = 1_000;
export const QUERIES_MAX = 1_000;
/** Members of a board; at least TOP_LIMIT_MAX, so that one bucket's board answers any `top` of that bucket. */
export const BOARD_SIZE = 1_000;

/** API keys of a deployment, besides those of a file. */
export const API_KEYS_MAX = 1_000;
/** Levels of objects and arrays in an event's data. */
export const DATA_DEPTH_MAX = 64;

/** Alert rules of a deployment. */
export const ALERTS_MAX = 10_000;
/** Keys that one rule on `"*"` watches. */
export const ALERT_INSTANCES_MAX = 1_000;
/** Buckets that one rule may read every second, from one partition; a union of so many sketches holds Redis for 25 ms. */
export const ALERT_BUCKETS_MAX = 1_000;
/** Transitions kept in the history of one rule. */
export const ALERT_HISTORY_MAX = 1_000;
/** Transitions kept for the feed of all rules, and for how long at most, ms. */
export const ALERT_LOG_MAX = 100_000;
export const ALERT_LOG_MS = 30 * 86_400_000;
/** A rule whose counter's clock is further behind wall time is stale, ms. */
export const ALERT_CLOCK_MAX_LAG_MS = 15 * 60_000;
