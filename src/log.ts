import { type DestinationStream, type Logger as PinoLogger, pino } from "pino";

export type Logger = PinoLogger;

const CENSOR = "[redacted]";

/**
 * Fields that hold secrets or what producers send, wherever they may be logged. ioredis puts a failed command's arguments
 * on its error: passwords (AUTH), webhooks' secrets, events.
 */
const SECRET_FIELDS = [
  ...["authorization", "cookie", "password", "secret", "token", "apiKey"].flatMap((name) => [name, `*.${name}`]),
  "req.headers.authorization",
  "headers.authorization",
  "err.command.args",
  "err.previousErrors[*].command.args",
];

/** Secrets within texts: in URLs, after `Bearer`, and by the prefix of webhooks' secrets. */
const SECRET_TEXTS: readonly (readonly [RegExp, string])[] = [
  [/([?&](?:token|access_token|api_key|apiKey|secret)=)[^&"\\\s]+/g, `$1${CENSOR}`],
  [/(\b[a-z][a-z+]*:\/\/)[^/@"\s]*@/g, `$1${CENSOR}@`],
  [/\b(Bearer|Basic) [\w.~+/=-]+/gi, `$1 ${CENSOR}`],
  [/\bwhsec_[\w+/=-]+/g, CENSOR],
];

/**
 * Structured logs, one JSON object a line, on standard error, so that standard output stays for what a command answers.
 * Whatever is logged, no secret is in it.
 */
export function createLogger(level: string, destination: DestinationStream = pino.destination(2)): Logger {
  const hooks = { streamWrite: withoutSecrets };
  return pino({ level, base: null, redact: { paths: SECRET_FIELDS, censor: CENSOR }, hooks }, destination);
}

/** Lines are few, a failure or a change each, so going through the whole text costs nothing that counts. */
function withoutSecrets(line: string): string {
  return SECRET_TEXTS.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), line);
}

/** A connection that is down says so once a try; one line per change is enough. */
export function connectionLog(log: Logger): (error: Error) => void {
  let last = "";
  return (error) => {
    if (error.message !== last) log.warn({ err: error }, "Redis connection failed");
    last = error.message;
  };
}
