/** Replies of Redis that say "not now": the same command may work later. */
const TRANSIENT = [
  "LOADING",
  "READONLY",
  "CLUSTERDOWN",
  "MASTERDOWN",
  "TRYAGAIN",
  "MOVED",
  "ASK",
  "OOM",
  "BUSY",
  "MISCONF",
  "NOREPLICAS",
  "NOGROUP",
  "UNBLOCKED",
  "ERR max number of clients",
];

/**
 * Whether a failed command says that something is wrong with our data or scripts, rather than with the connection or
 * the server's present state.
 */
export function isFatalReply(error: unknown): boolean {
  if (!(error instanceof Error) || error.name !== "ReplyError") return false;
  return !TRANSIENT.some((prefix) => error.message.startsWith(prefix));
}

/**
 * Texts of errors that say nothing of the command, only that it got no reply. Too many redirections: its keys are
 * spread over two nodes of a cluster, since their slot is moving, and neither could execute it.
 */
const CONNECTION =
  /^(Too many Cluster redirections|Connection is closed|Command aborted due to connection close|Command timed out|Stream isn't writeable|Reached the max retries|Failed to refresh slots|None of startup nodes|Cluster isn't ready)|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOENT/;

/** Whether an error means that Redis could not be asked, or does not answer just now. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.name === "ReplyError") return !isFatalReply(error);
  return error.name === "MaxRetriesPerRequestError" || CONNECTION.test(error.message);
}
