import { Command } from "ioredis";
import type { RedisClient } from "./client.ts";

type Argument = string | number | Buffer;

/**
 * A call of a script by its digest. A batch names thousands of keys, and of these ioredis would make a Buffer each where
 * one argument is a Buffer: encoded together they cost a third.
 */
class ScriptCall extends Command {
  constructor(args: readonly Argument[]) {
    super("evalsha", [...args], { replyEncoding: "utf8" });
  }

  /** As an array of bulk strings (https://redis.io/docs/latest/develop/reference/protocol-spec). */
  override toWritable(): Buffer {
    const pieces: Buffer[] = [];
    let text = `*${this.args.length + 1}\r\n$${this.name.length}\r\n${this.name}\r\n`;
    for (const arg of this.args as (string | Buffer)[]) {
      text += `$${Buffer.byteLength(arg)}\r\n`;
      if (typeof arg === "string") text += arg;
      else {
        pieces.push(Buffer.from(text), arg);
        text = "";
      }
      text += "\r\n";
    }
    return Buffer.concat([...pieces, Buffer.from(text)]);
  }
}

/** The same client, whose `evalsha` encodes its arguments together. */
export function encodingTogether<Client extends RedisClient>(client: Client): Client {
  const evalsha = (...args: Argument[]): unknown => client.sendCommand(new ScriptCall(args));
  return Object.assign(client, { evalsha });
}
