import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A port before a PostgreSQL server, on which what is said can get lost. */
export type Wire = {
  readonly port: number;
  /** Connections on which something was said since the wire has gone silent. */
  readonly spoken: number;
  /** Connections that were refused. */
  readonly refused: number;
  /**
   * Nothing arrives any more, and nobody hears of it: on all connections, or, where words of the gateway are given, on one from the last of
   * them on, each of which comes after the one before.
   */
  silence(...words: string[]): void;
  /** The last of these words of the gateway still arrives; its answer does not, and the connection breaks. */
  loseAnswerTo(words: readonly string[], then?: () => void): void;
  /** New connections are refused until `mend`. */
  cut(): void;
  mend(): void;
  stop(): Promise<void>;
};

type End = { isSilent: boolean; isDeaf: boolean };

export async function startWire(socket: string, port: number): Promise<Wire> {
  const ends = new Set<Socket>();
  const spoken = new Set<Socket>();
  let isDead = false;
  let awaited: { words: string[]; act(end: End): void } | null = null;
  let isCut = false;
  let refused = 0;
  const server = createServer((gateway) => {
    if (isCut) {
      refused++;
      gateway.destroy();
      return;
    }
    const database = connect(`${socket}/.s.PGSQL.${port}`);
    const end: End = { isSilent: false, isDeaf: false };
    for (const [socket, other] of [
      [gateway, database],
      [database, gateway],
    ] as const) {
      ends.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        ends.delete(socket);
        if (!end.isSilent) other.destroy();
      });
    }
    gateway.on('data', (octets: Buffer) => {
      const [word] = awaited?.words ?? [];
      if (word !== undefined && octets.includes(word)) awaited?.words.shift();
      if (awaited?.words.length === 0) {
        awaited.act(end);
        awaited = null;
      }
      if (isDead) end.isSilent = true;
      if (end.isSilent) spoken.add(gateway);
      else database.write(octets);
    });
    database.on('data', (octets: Buffer) => {
      if (end.isDeaf) gateway.destroy();
      else if (!end.isSilent) gateway.write(octets);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    get spoken() {
      return spoken.size;
    },
    get refused() {
      return refused;
    },
    silence(...words) {
      if (words.length === 0) isDead = true;
      else awaited = { words, act: (end) => Object.assign(end, { isSilent: true }) };
    },
    loseAnswerTo(words, then = () => undefined) {
      awaited = {
        words: [...words],
        act(end) {
          end.isDeaf = true;
          then();
        },
      };
    },
    cut() {
      isCut = true;
    },
    mend() {
      isCut = false;
    },
    async stop() {
      for (const end of ends) end.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
