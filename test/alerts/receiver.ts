import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";

/** A message as a receiver sees it. */
export interface Message {
  readonly id: string;
  readonly headers: Record<string, string>;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape
  readonly body: any;
  readonly at: number;
}

export type Answer = (request: IncomingMessage, response: ServerResponse, nth: number) => void;

export const ok: Answer = (_, response) => {
  response.writeHead(204).end();
};

/** A webhook endpoint on a port of its own, which keeps what it was sent and answers as a test wishes. */
export class Receiver {
  readonly messages: Message[] = [];
  answer: Answer;
  readonly #server: Server;

  private constructor(answer: Answer) {
    this.answer = answer;
    this.#server = createServer((request, response) => void this.#take(request, response));
  }

  static async start(answer: Answer = ok): Promise<Receiver> {
    const receiver = new Receiver(answer);
    receiver.#server.listen(0, "127.0.0.1");
    await once(receiver.#server, "listening");
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook`;
  }

  /** Types of the messages of a rule in the order of their arrival, copies included. */
  types(alert?: string): string[] {
    return this.messages.filter(({ body }) => !alert || body.data.alert === alert).map(({ body }) => body.type);
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => {});
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    const headers = request.headers as Record<string, string>;
    const message = { id: headers["webhook-id"] ?? "", headers, text, body: JSON.parse(text), at: Date.now() };
    this.messages.push(message);
    this.answer(request, response, this.messages.length);
  }
}

/** Throws unless the message is signed with the secret. */
export function verify(secret: string, { text, headers }: Message): void {
  new Webhook(secret).verify(text, headers);
}
