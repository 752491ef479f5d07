import { type Answer, type Message, Receiver, verify } from "../alerts/receiver.ts";
import type { Reader } from "./reader.ts";

/** Of so many messages, one is taken and its connection dropped before an answer: it must come once more. */
const DROPPED_OF = 7;

const RULES = [
  ...[300, 1_000, 3_000, 9_000].map((threshold) => ({ counter: "views", op: ">", threshold, last: "10s" })),
  { counter: "sales", key: "*", op: ">=", threshold: 5, last: "5s" },
  { counter: "sales", key: "*", measure: "sum", op: ">", threshold: 1_000, last: "10s", keepFiring: "2s" },
  { counter: "everything", op: "<", threshold: 2_000, last: "10s", for: "2s" },
  { counter: "everything", op: ">", threshold: 50, last: "10s", compare: "previous" },
] as const;

/** Alert rules whose numbers cross their thresholds all the time, since faults hold the traffic up. */
export class Alarms {
  readonly receiver: Receiver;
  /** Secrets of the rules' webhooks, by the id of the rule. */
  readonly secrets = new Map<string, string>();
  /** Messages whose signature was not right when they came. */
  readonly forged: string[] = [];

  private constructor(receiver: Receiver) {
    this.receiver = receiver;
    receiver.answer = this.#answer();
  }

  #answer(): Answer {
    const dropped = new Set<string>();
    return (_request, response, nth) => {
      const message = this.receiver.messages[nth - 1] as Message;
      this.#check(message);
      if (nth % DROPPED_OF !== 0 || dropped.has(message.id)) return void response.writeHead(204).end();
      dropped.add(message.id);
      response.destroy();
    };
  }

  #check(message: Message): void {
    try {
      verify(this.secrets.get(message.body.data.alert) ?? "", message);
    } catch (error) {
      this.forged.push(`${message.id}: ${(error as Error).message}`);
    }
  }

  static async start(reader: Reader): Promise<Alarms> {
    const receiver = await Receiver.start();
    const alarms = new Alarms(receiver);
    for (const [i, rule] of RULES.entries()) {
      const defaults = { name: `rule ${i}`, key: null, measure: "count", for: "0s" };
      const body = { ...defaults, ...rule, webhook: { url: receiver.url } };
      const made = await reader.post<{ id: string; webhook: { secret: string } }>("/v1/alerts", body);
      alarms.secrets.set(made.id, made.webhook.secret);
    }
    return alarms;
  }
}
