import { readFileSync, writeSync } from 'node:fs';
import { newMailId, newSessionId } from '../../../src/ids.ts';
import { Secret } from '../../../src/log/secret.ts';
import { bufferSource } from '../../../src/octets/buffer-source.ts';
import type { Origin } from '../../../src/pipeline/ports.ts';
import { Deliverer } from '../../../src/queue/deliverer.ts';
import { DurableQueue } from '../../../src/queue/durable-queue.ts';
import { OwnKey } from '../../../src/queue/own-key.ts';
import { mailboxOf, OwnMails } from '../../../src/queue/own-mail.ts';
import { OwnWork } from '../../../src/queue/own-work.ts';
import type { Courier, MailToDeliver, SealedSpool } from '../../../src/queue/ports.ts';
import { ENDLESS } from '../../../src/queue/room.ts';
import { SmtpCourier } from '../../../src/queue/smtp-courier.ts';
import { SpoolFolder } from '../../../src/queue/spool-folder.ts';
import { SubmittedMail } from '../../../src/queue/store-and-forward.ts';
import { groupedTransactions } from '../../../src/store/grouped-transactions.ts';
import { openQueueStore } from '../../../src/store/queue-migrations.ts';
import type { SqlStore } from '../../../src/store/sql-store.ts';
import { principalNamed } from '../../support/principal.ts';
import { ownIdentity, type WrittenKey } from './own-identity.ts';

/**
 * A queue with its deliveries, as a gateway has it: in the test's process, or in one of its own that is killed.
 *
 *     node queue-process.ts STATE KEYFILE PORT KILLAT MAILS FIRST [TOGETHER]
 *
 * The mails are numbered from FIRST. Says `accepted NUMBER` for each one that is durable, and `delivered NUMBER` is for the server to say. At the step KILLAT it kills itself.
 */
export type QueueProcess = {
  store: SqlStore;
  spool: SpoolFolder;
  queue: DurableQueue;
  deliverer: Deliverer;
  submitted: SubmittedMail;
  stop(): Promise<void>;
};

export const LOGIN = { login: 'gateway@upstream.test', password: 'pass-gateway' };

/** Told of every step that a crash could come before or after. */
export type Step = (label: string) => void;

export async function openQueueProcess(
  state: string,
  keyFile: string,
  port: number,
  step: Step = () => undefined,
): Promise<QueueProcess> {
  const identity = ownIdentity([JSON.parse(readFileSync(keyFile, 'utf8')) as WrittenKey]);
  const store = groupedTransactions(stepwise(await openQueueStore(state), step));
  const folder = await SpoolFolder.open(state, new OwnKey(identity));
  const spool = stepwiseSpool(folder, step);
  const parts = { store, spool, clock: () => new Date(), log: { write: () => undefined } };
  const server = {
    options: { host: '127.0.0.1', port, tls: 'none' as const },
    ...{ name: `127.0.0.1:${port}`, context: null },
  };
  const smtp = new SmtpCourier({
    ...{
      server,
      hostname: 'gateway.test',
      clock: parts.clock,
      login: { kind: 'password', name: LOGIN.login, password: new Secret(LOGIN.password) },
    },
  });
  const courier = stepwiseCourier(smtp, step);
  const work = new OwnWork();
  const queue = new DurableQueue({ ...parts, router: null, work });
  const ownMails = new OwnMails({ ...parts, identity, hostname: 'gateway.test', days: 5 });
  const running = new Deliverer({
    ...{ ...parts, queue, hostname: 'gateway.test', server: 'upstream.test', courier: () => courier },
    ownMails,
    ...{ work, atOnce: () => 2, most: 2, alone: true },
  });
  return {
    ...{ store, spool: folder, queue, deliverer: running },
    submitted: new SubmittedMail({
      ...{ store, queue, ownMails, room: ENDLESS, hostname: 'gateway.test', server: 'upstream.test' },
      ...{ days: 5, clock: parts.clock },
    }),
    async stop() {
      const stopped = running.stop();
      await smtp.close();
      await stopped;
      await store.close();
    },
  };
}

/** To Bob, and to somebody whom the server does not know: that one fails, and Alice has a report. */
export function numberedMail(number: number): MailToDeliver {
  const recipients = [`bob${number}@upstream.test`, `gone${number}@nowhere.test`].map((address) => ({
    ...{ mailbox: mailboxOf(address), parameters: [] },
  }));
  return {
    ...{ id: newMailId(), purpose: 'released', way: { kind: 'smtp' }, requireTls: 'no' },
    envelope: { reversePath: mailboxOf('alice@upstream.test'), mailParameters: [], recipients },
    expiresAt: new Date(Date.now() + 24 * 3_600_000),
    octets: Buffer.from(`From: alice@upstream.test\r\nX-Number: ${number}\r\n\r\n${'text '.repeat(500)}\r\n`),
  };
}

/** As a listener does whose mail goes into the queue: one message to Bob, another one to Carol. */
async function submitNumbered(submitted: SubmittedMail, number: number): Promise<void> {
  const { id, envelope, octets } = numberedMail(number);
  const keeping = submitted.begin({ id, envelope, origin: ORIGIN });
  for (const name of ['bob', 'carol']) {
    const recipients = [{ mailbox: mailboxOf(`${name}${number}@upstream.test`), parameters: [] }];
    const protection = { signed: true, encrypted: true };
    const source = bufferSource(octets as Buffer);
    await keeping.add({ recipients, octets: source, protection, requireTls: false });
  }
  await keeping.commit();
}

const ORIGIN: Origin = {
  session: newSessionId(),
  ...{ listener: 'test', principal: principalNamed('alice@upstream.test'), remote: '192.0.2.1' },
};

function stepwise(store: SqlStore, step: Step): SqlStore {
  return {
    query: (statement) => store.query(statement),
    transaction: (statements) => {
      // Readings change nothing.
      const writes = statements.some(({ sql }) => !sql.startsWith('SELECT'));
      return writes
        ? around('rows', step, () => store.transaction(statements))
        : store.transaction(statements);
    },
    close: () => store.close(),
  };
}

function stepwiseSpool(spool: SealedSpool, step: Step): SealedSpool {
  return {
    write: (octets) => around('file', step, () => spool.write(octets)),
    read: (name) => spool.read(name),
    remove: (name) => around('removal', step, () => spool.remove(name)),
  };
}

function stepwiseCourier(courier: Courier, step: Step): Courier {
  return {
    deliver: (mail) => around('delivery', step, () => courier.deliver(mail)),
    close: () => courier.close(),
  };
}

async function around<T>(label: string, step: Step, act: () => Promise<T>): Promise<T> {
  step(`before ${label}`);
  const acting = act();
  step(`during ${label}`);
  const result = await acting;
  step(`after ${label}`);
  return result;
}

if (process.argv[1] === import.meta.filename) {
  const [, , state = '', keyFile = '', port = '', killAt = '', mails = '', first = '', together = ''] =
    process.argv;
  let steps = 0;
  const step: Step = (label) => {
    if (++steps !== Number(killAt)) return;
    writeSync(1, `killed ${label}\n`);
    process.kill(process.pid, 'SIGKILL');
  };
  const { queue, store, deliverer, submitted, stop } = await openQueueProcess(
    state,
    keyFile,
    Number(port),
    step,
  );
  deliverer.start();
  let next = Number(first);
  const end = next + Number(mails);
  const accepting = async () => {
    while (next < end) {
      const number = next++;
      if (together === '') await queue.enqueue([numberedMail(number)]);
      else await submitNumbered(submitted, number);
      writeSync(1, `accepted ${number}\n`);
    }
  };
  await Promise.all(Array.from({ length: Number(together) || 1 }, accepting));
  for (let left = 1; left > 0; ) {
    const [row] = await store.query({ sql: 'SELECT count(*) AS mails FROM delivery', parameters: [] });
    left = Number(row?.mails);
  }
  await stop();
}
