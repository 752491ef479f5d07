import { connect, type NetConnectOpts } from "node:net";

export type Address = { path: string } | { host: string; port: number };

/** `absent`: nobody listens, or whoever does gave no answer in time. */
export type Health = { state: "ready"; pid: number } | { state: "loading" } | { state: "absent" };

const ANSWER_WITHIN_MS = 2_000;
/** The end of the reply to INFO is not looked for, since its line on the process comes first enough. */
const PROCESS_ID = /^process_id:(\d+)\r\n/m;

/** Asks a Redis whether it serves commands, and which process it is. */
export function probe(address: Address): Promise<Health> {
  return converse(address, "PING\r\nINFO server\r\n", (reply) => {
    if (reply.startsWith("-LOADING")) return { state: "loading" };
    const pid = PROCESS_ID.exec(reply)?.[1];
    return reply.startsWith("+PONG") && pid !== undefined ? { state: "ready", pid: Number(pid) } : undefined;
  });
}

function converse(address: Address, text: string, judge: (reply: string) => Health | undefined): Promise<Health> {
  return new Promise((resolve) => {
    const options: NetConnectOpts = address;
    const socket = connect(options, () => socket.write(text));
    let reply = "";
    const finish = (health: Health) => {
      socket.destroy();
      resolve(health);
    };
    socket.setEncoding("latin1");
    socket.setTimeout(ANSWER_WITHIN_MS, () => finish({ state: "absent" }));
    socket.on("error", () => finish({ state: "absent" }));
    socket.on("close", () => resolve({ state: "absent" }));
    socket.on("data", (chunk: string) => {
      reply += chunk;
      const health = judge(reply);
      if (health !== undefined) finish(health);
    });
  });
}
