import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A port before a PostgreSQL server, on which what is said can get lost. */
export type Wire = {
  readonly port: number;
  /** Connections on which something was said since the wire has gone silent. */
  readonly spoken: number;
  /** Nothing arrives any more on the connections that are there, and nobody hears of it. `from`: from that word of the gateway on. */
  silence(from?: string): void;
  /** That word of the gateway still arrives; its answer does not, and the connection breaks. */
  loseAnswerTo(word: string): void;
  /** New connections are refused until `mend`. */
  cut(): void;
  mend(): void;
  stop(): Promise<void>;
};

export async function startWire(socket: string, port: number): Promise<Wire> {
  const ends = new Set<Socket>();
  const spoken = new Set<Socket>();
  let silentFrom: string | null = null;
  let lost: string | null = null;
  let isCut = false;
  const server = createServer((gateway) => {
    if (isCut) {
      gateway.destroy();
      return;
    }
    const database = connect(`${socket}/.s.PGSQL.${port}`);
    let isSilent = false;
    let isDeaf = false;
    for (const [end, other] of [
      [gateway, database],
      [database, gateway],
    ] as const) {
      ends.add(end);
      end.on('error', () => undefined);
      end.on('close', () => {
        ends.delete(end);
        if (!isSilent) other.destroy();
      });
    }
    gateway.on('data', (octets: Buffer) => {
      const has = (word: string | null) => word !== null && octets.includes(word);
      if (silentFrom === '' || has(silentFrom)) isSilent = true;
      if (isSilent) spoken.add(gateway);
      if (has(lost)) {
        isDeaf = true;
        lost = null;
      }
      if (!isSilent) database.write(octets);
    });
    database.on('data', (octets: Buffer) => {
      if (isDeaf) gateway.destroy();
      else if (!isSilent) gateway.write(octets);
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
    silence(from = '') {
      silentFrom = from;
    },
    loseAnswerTo(word) {
      lost = word;
    },
    cut() {
      isCut = true;
    },
    mend() {
      silentFrom = null;
      isCut = false;
    },
    async stop() {
      for (const end of ends) end.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
