import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** What happens to one statement on its way to PostgreSQL, or to its answer. */
export type StatementFault =
  /** It does not arrive, and the connection is reset. */
  | { kind: 'lost' }
  /** It is carried out, and the connection is reset before the answer is heard. */
  | { kind: 'unheard' }
  /** It does not arrive, and nothing is heard any more. */
  | { kind: 'hangs' }
  /** It is carried out, and nothing is heard any more. */
  | { kind: 'hangs-behind' }
  /** The server fails it with this SQLSTATE, and rolls back. */
  | { kind: 'fails'; state: string }
  /** The server ends the connection, as it does when it is shut down: FATAL 57P01. */
  | { kind: 'ended' };

/** A port before a PostgreSQL server that breaks one statement. */
export type StatementWire = {
  readonly port: number;
  /** Whether the statement has come. */
  readonly isBroken: boolean;
  /** The next one that has the last of these words in it, in a transaction in which one had the others. After it all goes on. */
  arm(fault: StatementFault, words: readonly string[]): void;
  /** The same of whichever statement comes next (0), or behind so many others. */
  armAt(fault: StatementFault, others: number): void;
  /** New connections are answered with this SQLSTATE (FATAL), or, for null, refused; those that are there are reset. */
  close(state: string | null): void;
  open(): void;
  stop(): Promise<void>;
};

/** Simple query, or the end of the messages of an extended one (PostgreSQL, "Message Formats"). */
const [QUERY, SYNC, PARSE] = [0x51, 0x53, 0x50];

export async function startStatementWire(socket: string, port: number): Promise<StatementWire> {
  const ends = new Set<Socket>();
  let armed: { fault: StatementFault; isMeant(transaction: readonly string[]): boolean } | null = null;
  let closed: { state: string | null } | null = null;
  const server = createServer((gateway) => {
    ends.add(gateway);
    gateway.on('error', () => undefined);
    gateway.on('close', () => ends.delete(gateway));
    if (closed !== null) {
      const { state } = closed;
      if (state === null) gateway.destroy();
      else gateway.once('data', () => gateway.end(fatal(state)));
      return;
    }
    const database = connect(`${socket}/.s.PGSQL.${port}`);
    ends.add(database);
    database.on('error', () => undefined);
    let isSilent = false;
    let isDeaf: 'no' | 'resets' | 'hangs' = 'no';
    database.on('close', () => {
      ends.delete(database);
      if (!isSilent) gateway.destroy();
    });
    gateway.on('close', () => database.destroy());
    let unread: Buffer = Buffer.alloc(0);
    let hasBegun = false;
    const group: Buffer[] = [];
    let text = '';
    let transaction: string[] = [];
    const faultOf = (statement: string): StatementFault | null => {
      if (statement.startsWith('BEGIN')) transaction = [];
      transaction.push(statement);
      if (armed?.isMeant(transaction) !== true) return null;
      const { fault } = armed;
      armed = null;
      return fault;
    };
    gateway.on('data', (octets: Buffer) => {
      unread = Buffer.concat([unread, octets]);
      for (;;) {
        const head = hasBegun ? 1 : 0;
        if (unread.length < head + 4) return;
        const length = head + unread.readUInt32BE(head);
        if (unread.length < length) return;
        const message = unread.subarray(0, length);
        unread = unread.subarray(length);
        if (isSilent) continue;
        const type = hasBegun ? message[0] : 0;
        hasBegun = true;
        group.push(message);
        if (type === QUERY) text = message.toString('utf8', 5, length - 1);
        if (type === PARSE) text = message.toString('utf8', 6).split('\0')[0] ?? '';
        if (type !== QUERY && type !== SYNC) {
          // Nothing waits for an answer in the midst of an extended query.
          if (text === '') database.write(Buffer.concat(group.splice(0)));
          continue;
        }
        const fault = faultOf(text);
        text = '';
        const whole = Buffer.concat(group.splice(0));
        switch (fault?.kind) {
          case undefined:
            database.write(whole);
            break;
          case 'lost':
            gateway.destroy();
            return;
          case 'hangs':
            isSilent = true;
            break;
          case 'unheard':
            isDeaf = 'resets';
            database.write(whole);
            break;
          case 'hangs-behind':
            isDeaf = 'hangs';
            database.write(whole);
            break;
          case 'fails':
            database.write(
              query(`DO $$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = '${fault.state}'; END $$`),
            );
            break;
          case 'ended':
            database.write(query('SELECT pg_terminate_backend(pg_backend_pid())'));
        }
      }
    });
    database.on('data', (octets: Buffer) => {
      if (isDeaf === 'resets') gateway.destroy();
      else if (isDeaf === 'no' && !isSilent) gateway.write(octets);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    get isBroken() {
      return armed === null;
    },
    arm(fault, words) {
      const isMeant = (transaction: readonly string[]) =>
        transaction.at(-1)?.includes(words.at(-1) ?? '') === true &&
        words.every((word) => transaction.some((one) => one.includes(word)));
      armed = { fault, isMeant };
    },
    armAt(fault, others) {
      let left = others;
      armed = { fault, isMeant: () => left-- === 0 };
    },
    close(state) {
      closed = { state };
      for (const end of ends) end.destroy();
    },
    open() {
      closed = null;
    },
    async stop() {
      for (const end of ends) end.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function query(text: string): Buffer {
  const body = Buffer.from(`${text}\0`);
  const head = Buffer.alloc(5);
  head[0] = QUERY;
  head.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

function fatal(state: string): Buffer {
  const body = Buffer.from(`SFATAL\0VFATAL\0C${state}\0Mbroken\0\0`);
  const head = Buffer.alloc(5);
  head[0] = 0x45;
  head.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}
