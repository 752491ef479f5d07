import { type Logger as PinoLogger, pino } from "pino";

export type Logger = PinoLogger;

/** Structured logs on standard error, so that standard output stays for what a command answers. */
export function createLogger(level: string): Logger {
  return pino({ level, base: null }, pino.destination(2));
}
