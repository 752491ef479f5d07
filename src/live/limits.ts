/** What one process grants its viewers. */

/** Shortest and longest time between two updates of a subscription, ms. */
export const EVERY_MIN_MS = 100;
export const EVERY_MAX_MS = 60_000;
export const EVERY_DEFAULT = "1s";
/** Subscriptions of one viewer. */
export const SUBSCRIPTIONS_MAX = 200;
/** Largest frame that a viewer may send, bytes. */
export const FRAME_BYTES_MAX = 64 * 1024;
/** While more than this waits for a viewer, bytes, nothing is added: it gets the newest state once it has caught up. */
export const BEHIND_BYTES = 64 * 1024;
/** A viewer for which more than this still waits when something new comes, bytes, is closed. */
export const BUFFERED_BYTES_MAX = 1024 * 1024;
/** Between two pings; a viewer that has not answered one by the next is closed, ms. */
export const PING_MS = 20_000;
/** Lookups under way at the same time for all viewers together. */
export const READS_AT_ONCE = 32;
/** An answer that is older than this, ms, is read again for a viewer that comes new. */
export const FRESH_MS = 1_000;

/** Private close code of RFC 6455, section 7.4.2: the viewer does not keep up. */
export const CLOSE_TOO_SLOW = 4008;
/** RFC 6455, section 7.4.1: the endpoint is going away. */
export const CLOSE_GOING_AWAY = 1001;
