import { once } from 'node:events';
import { SMTPServer } from 'smtp-server';

/** What a mail server has taken: each mail has a number in its Subject. */
export type Taken = {
  number: number;
  recipients: readonly string[];
  octets: Buffer;
  /** `lost`: whoever sent it was gone before it could be told. */
  answer: 'told' | 'lost' | 'refused';
};

/** A mail server that takes everything, and answers when it is let. */
export type NumberedSink = {
  readonly port: number;
  readonly taken: readonly Taken[];
  /** Mails that are there and have no answer yet. */
  waiting(): number;
  /** No mail is answered until `open`. */
  shut(): void;
  open(): void;
  /** What the next mails are answered with; null: they are taken. */
  refuse(decide: ((number: number) => string | null) | null): void;
  stop(): Promise<void>;
};

export async function startNumberedSink(host = '127.0.0.1'): Promise<NumberedSink> {
  const taken: Taken[] = [];
  const closed = new Set<string>();
  let gate: PromiseWithResolvers<void> | null = null;
  let refusal: ((number: number) => string | null) | null = null;
  let waiting = 0;
  const server = new SMTPServer({
    authOptional: true,
    allowInsecureAuth: true,
    disabledCommands: ['STARTTLS'],
    disableReverseLookup: true,
    hideENHANCEDSTATUSCODES: false,
    closeTimeout: 100,
    logger: false,
    onAuth: ({ username }, _session, callback) => callback(null, { user: username ?? '' }),
    onClose: ({ id }) => void closed.add(id),
    onData(stream, { id, envelope }, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', async () => {
        const octets = Buffer.concat(chunks);
        const number = Number(/^Subject: number (\d+)/m.exec(octets.toString('latin1'))?.[1] ?? -1);
        const said = refusal?.(number) ?? null;
        waiting++;
        await gate?.promise;
        waiting--;
        const answer = said !== null ? 'refused' : closed.has(id) ? 'lost' : 'told';
        taken.push({ number, recipients: envelope.rcptTo.map(({ address }) => address), octets, answer });
        if (said === null) callback(null, 'taken');
        else callback(Object.assign(new Error(said), { responseCode: Number(said.slice(0, 3)) }));
      });
    },
  });
  server.on('error', () => undefined);
  const listening = server.listen(0, host);
  await once(listening, 'listening');
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    taken,
    waiting: () => waiting,
    shut() {
      gate ??= Promise.withResolvers<void>();
    },
    open() {
      gate?.resolve();
      gate = null;
    },
    refuse(decide) {
      refusal = decide;
    },
    async stop() {
      gate?.resolve();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
