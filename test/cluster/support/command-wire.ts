import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** What happens to one command on its way to Redis, or to its answer. */
export type CommandFault =
  /** It does not arrive, and the connection is reset. */
  | { kind: 'lost' }
  /** It is carried out, and the connection is reset before the answer is heard. */
  | { kind: 'unheard' }
  /** Nothing arrives any more on this connection, and nothing is heard. */
  | { kind: 'hangs' }
  /** It is answered with this error, and not carried out. */
  | { kind: 'refused'; says: string };

/** A port before a Redis that breaks one command, counted from when it was armed. */
export type CommandWire = {
  readonly port: number;
  /** Commands since `arm`. */
  readonly seen: readonly string[];
  /** The n-th from now on, counted from 1. 0: none. */
  arm(fault: CommandFault, at: number): void;
  stop(): Promise<void>;
};

export async function startCommandWire(port: number): Promise<CommandWire> {
  const ends = new Set<Socket>();
  let seen: string[] = [];
  let armed: { fault: CommandFault; at: number } | null = null;
  const server = createServer((node) => {
    const redis = connect(port, '127.0.0.1');
    let isSilent = false;
    let isDeaf = false;
    let said = '';
    for (const [one, other] of [
      [node, redis],
      [redis, node],
    ] as const) {
      ends.add(one);
      one.on('error', () => undefined);
      one.on('close', () => {
        ends.delete(one);
        if (!isSilent) other.destroy();
      });
    }
    let unread: Buffer = Buffer.alloc(0);
    node.on('data', (octets: Buffer) => {
      unread = Buffer.concat([unread, octets]);
      for (let command = commandIn(unread); command !== null; command = commandIn(unread)) {
        const whole = unread.subarray(0, command.length);
        unread = unread.subarray(command.length);
        if (isSilent) continue;
        seen.push(command.words.slice(0, 2).join(' ').slice(0, 40));
        const fault = armed !== null && seen.length === armed.at ? armed.fault : null;
        switch (fault?.kind) {
          case undefined:
            redis.write(whole);
            break;
          case 'lost':
            node.destroy();
            return;
          case 'unheard':
            isDeaf = true;
            redis.write(whole);
            break;
          case 'hangs':
            isSilent = true;
            break;
          case 'refused':
            // Redis refuses it by itself, in its turn, and a transaction with it.
            said = fault.says;
            redis.write('*1\r\n$6\r\nBROKEN\r\n');
        }
      }
    });
    redis.on('data', (octets: Buffer) => {
      if (isDeaf) node.destroy();
      else if (!isSilent) {
        node.write(
          Buffer.from(
            octets.toString('latin1').replace(/-ERR unknown command 'BROKEN'[^\r]*/, `-${said}`),
            'latin1',
          ),
        );
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    get seen() {
      return seen;
    },
    arm(fault, at) {
      seen = [];
      armed = at === 0 ? null : { fault, at };
    },
    async stop() {
      for (const end of ends) end.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The first command, an array of bulk strings (RESP, "Sending commands to a Redis server"); null: not all of it is there. */
function commandIn(octets: Buffer): { words: readonly string[]; length: number } | null {
  let at = 0;
  const line = (): string | null => {
    const end = octets.indexOf('\r\n', at);
    if (end < 0) return null;
    const text = octets.toString('latin1', at, end);
    at = end + 2;
    return text;
  };
  const head = line();
  if (head === null) return null;
  if (!head.startsWith('*')) throw new Error(`no command: ${head}`);
  const words: string[] = [];
  for (let left = Number(head.slice(1)); left > 0; left--) {
    const size = line();
    if (size === null) return null;
    const end = at + Number(size.slice(1));
    if (octets.length < end + 2) return null;
    words.push(octets.toString('latin1', at, end));
    at = end + 2;
  }
  return { words, length: at };
}
