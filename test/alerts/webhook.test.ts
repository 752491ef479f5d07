import type { LookupFunction } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { urlFault } from "../../src/alerts/address.ts";
import type { AlertEvent } from "../../src/alerts/event.ts";
import type { Webhook } from "../../src/alerts/rule.ts";
import { bodyOf, headersOf, type WebhookOptions, WebhookSender } from "../../src/alerts/webhook.ts";
import { type Answer, ok, Receiver, verify } from "./receiver.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const EVENT: AlertEvent = {
  id: "evt_1",
  type: "firing",
  time: "2026-01-01T00:00:00.000Z",
  alert: "a",
  name: "a <b> & c",
  counter: "views",
  key: ["/"],
  measure: "count",
  op: ">",
  threshold: 1,
  value: 2,
  from: "2026-01-01T00:00:00.000Z",
  to: "2026-01-01T00:01:00.000Z",
  since: "2026-01-01T00:00:00.000Z",
};
const NEVER = new AbortController().signal;

let receiver: Receiver;
beforeEach(async () => {
  receiver = await Receiver.start();
});
afterEach(() => receiver.stop());

const webhook = (url: string, more: Partial<Webhook> = {}): Webhook => ({
  url,
  format: "standard",
  secret: SECRET,
  ...more,
});
const send = (url: string, options: Partial<WebhookOptions> = {}) =>
  new WebhookSender({ allowPrivate: true, ...options }).send(webhook(url), EVENT, Date.now(), NEVER);

describe("signatures", () => {
  test("the vector of the Standard Webhooks specification", () => {
    const headers = headersOf(
      webhook("http://x/"),
      "msg_p5jXN8AQM9LWM0D4loKWxJek",
      '{"test": 2432232314}',
      1_614_265_330_000,
    );
    expect(headers).toMatchObject({
      "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
      "webhook-timestamp": "1614265330",
      "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    });
  });

  test("during a rotation both secrets sign, afterwards the new one alone", async () => {
    const previous = { secret: "whsec_plJ3nmyCDGBKInavdOK15jsl", until: Date.now() + 60_000 };
    const sender = new WebhookSender({ allowPrivate: true });
    await sender.send(webhook(receiver.url, { previous }), EVENT, Date.now(), NEVER);
    for (const secret of [SECRET, previous.secret]) verify(secret, receiver.messages[0]!);
    await sender.send(webhook(receiver.url, { previous }), EVENT, Date.now() + 60_001, NEVER);
    verify(SECRET, receiver.messages[1]!);
    expect(() => verify(previous.secret, receiver.messages[1]!)).toThrow("No matching signature");
  });

  test("Slack gets a text, with what it would take for markup escaped", () => {
    const { text } = JSON.parse(bodyOf(webhook("http://x/", { format: "slack" }), EVENT));
    expect(text).toBe(
      "FIRING: a &lt;b&gt; &amp; c\ncount of views /: 2 (alert at &gt; 1), 2026-01-01T00:00:00.000Z to 2026-01-01T00:01:00.000Z",
    );
  });
});

describe("receivers", () => {
  const status =
    (code: number, headers = {}): Answer =>
    (_, response) => {
      response.writeHead(code, headers).end("secret of the receiver");
    };

  test("2xx is delivered", async () => {
    expect(await send(receiver.url)).toEqual({ kind: "delivered", status: 204 });
    verify(SECRET, receiver.messages[0]!);
  });

  test.each([
    [500, {}, { kind: "failed", status: 500, detail: "answered 500" }],
    [429, { "retry-after": "7" }, { kind: "failed", status: 429, detail: "answered 429", retryAfterMs: 7_000 }],
    [410, {}, { kind: "gone", status: 410, detail: "the endpoint is gone" }],
  ] as const)("%d with %o", async (code, headers, outcome) => {
    receiver.answer = status(code, headers);
    expect(await send(receiver.url)).toEqual(outcome);
  });

  test("a redirect is a failure and is not followed", async () => {
    const other = await Receiver.start();
    receiver.answer = status(302, { location: other.url });
    expect(await send(receiver.url)).toEqual({ kind: "failed", status: 302, detail: "answered 302" });
    expect(other.messages).toEqual([]);
    await other.stop();
  });

  test.each([
    ["hangs", () => {}],
    [
      "answers byte by byte",
      (_, response) => {
        response.writeHead(200);
        const timer = setInterval(() => response.write("x"), 20);
        response.on("close", () => clearInterval(timer));
      },
    ],
  ] as [string, Answer][])("one that %s is given up after the time limit", async (_, answer) => {
    receiver.answer = answer;
    const began = performance.now();
    expect(await send(receiver.url, { attemptMaxMs: 300 })).toEqual({
      kind: "failed",
      detail: "no complete answer in 300 ms",
    });
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  test("one that drops the connection after processing has failed", async () => {
    receiver.answer = (request) => request.socket.destroy();
    expect(await send(receiver.url)).toEqual({ kind: "failed", detail: "the connection failed (ECONNRESET)" });
    expect(receiver.messages).toHaveLength(1);
  });

  test("an endless answer is read to 64 KiB, and its status counts", async () => {
    let written = 0;
    let ended: () => void;
    const closed = new Promise<void>((resolve) => {
      ended = resolve;
    });
    receiver.answer = (_, response) => {
      response.writeHead(200);
      const write = () => {
        while (!response.destroyed && response.write(Buffer.alloc(16_384))) written += 16_384;
      };
      response.on("drain", write);
      response.on("close", () => ended());
      write();
    };
    expect(await send(receiver.url)).toEqual({ kind: "delivered", status: 200 });
    await closed;
    expect(written).toBeLessThan(16 * 1024 * 1024); // what fits into the sockets' buffers
  });
});

describe("addresses", () => {
  const REFUSED = { kind: "failed", detail: "the address is not on the public internet" };
  const guarded = { allowPrivate: false, attemptMaxMs: 1_000 };

  test.each([
    "127.0.0.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fd00::1]",
    "[ff02::1]",
  ])("%s is refused by the rule and by the connection", async (host) => {
    const url = `http://${host}:${receiver.port}/hook`;
    expect(urlFault(url, false)).toContain("special address");
    expect(await send(url, guarded)).toEqual(REFUSED);
    expect(urlFault(url, true)).toBeNull();
    expect(receiver.messages).toEqual([]);
  });

  test("a name that leads to one is refused by the connection", async () => {
    const { lookup } = flipFlop("127.0.0.1", "127.0.0.1");
    expect(await send(`http://inside.example:${receiver.port}/hook`, { ...guarded, lookup })).toEqual(REFUSED);
    expect(receiver.messages).toEqual([]);
  });

  /** Answers a public address first, the receiver's afterwards, as a name under an attacker's control would. */
  const flipFlop = (first: string, then: string) => {
    const asked: string[] = [];
    const lookup = ((_host: string, { all }: { all?: boolean }, done: (...args: unknown[]) => void) => {
      const address = asked.length === 0 ? first : then;
      asked.push(address);
      const family = address.includes(":") ? 6 : 4;
      if (all) done(null, [{ address, family }]);
      else done(null, address, family);
    }) as unknown as LookupFunction;
    return { asked, lookup };
  };

  test.each(["127.0.0.1", "::ffff:127.0.0.1", "::7f00:1", "::1"])(
    "a name that turns to %s reaches nothing",
    async (address) => {
      const { asked, lookup } = flipFlop("203.0.114.1", address);
      const sender = new WebhookSender({ ...guarded, attemptMaxMs: 100, lookup });
      const hook = webhook(`http://rebind.example:${receiver.port}/hook`);
      // The first lookup is let through, whatever comes of it on this network.
      expect(await sender.send(hook, EVENT, Date.now(), NEVER)).not.toEqual(REFUSED);
      expect(await sender.send(hook, EVENT, Date.now(), NEVER)).toEqual(REFUSED);
      expect(asked).toEqual(["203.0.114.1", address]); // one lookup a connection: nothing is looked up twice
      expect(receiver.messages).toEqual([]);
    },
  );

  test("that name does reach the receiver when private addresses are allowed", async () => {
    const { lookup } = flipFlop("127.0.0.1", "127.0.0.1");
    receiver.answer = ok;
    expect(await send(`http://rebind.example:${receiver.port}/hook`, { lookup })).toMatchObject({ kind: "delivered" });
  });

  test.each([
    ["ftp://example.org/", "must begin with http:// or https://"],
    ["file:///etc/passwd", "must begin with http:// or https://"],
    ["https://user:pass@example.org/", "must hold no user name and no password"],
    ["example.org", "must be a URL"],
    ["https://example.org/hook", null],
    ["https://1.1.1.1/hook", null],
  ])("%s: %s", (url, fault) => {
    expect(urlFault(url, false)).toBe(fault);
  });
});
