/** One server-sent event. */
export interface ServerSentEvent {
  readonly id: string | undefined;
  readonly event: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape, and expect() checks them
  readonly data: any;
}

/** Opens a stream of server-sent events. */
export async function openEvents(url: string, headers: Record<string, string> = {}) {
  const aborted = new AbortController();
  const response = await fetch(url, { headers, signal: aborted.signal });
  return { response, events: readEvents(response), close: () => aborted.abort() };
}

async function* readEvents(response: Response): AsyncGenerator<ServerSentEvent> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop() as string;
    for (const block of blocks) {
      const fields = new Map(block.split("\n").map((line) => line.split(/: ?(.*)/s).slice(0, 2) as [string, string]));
      const data = fields.get("data");
      if (data) yield { id: fields.get("id"), event: fields.get("event"), data: JSON.parse(data) };
    }
  }
}
