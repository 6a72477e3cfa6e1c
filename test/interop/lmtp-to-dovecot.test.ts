import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { prepareMailServer } from '../../src/connections/mail-server.ts';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { newMailId } from '../../src/ids.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import { SmtpCourier } from '../../src/queue/smtp-courier.ts';
import { deliverIn } from '../../src/queue/smtp-transaction.ts';
import { connectUpstream } from '../../src/smtp-out/connect.ts';
import { mailbox } from '../queue/support/queue.ts';

const ALICE = { login: 'alice@sealgate.test', password: 'alice' };
const CAROL = { login: 'carol@sealgate.test', password: 'carol' };
let dovecot: Dovecot;
beforeAll(async () => {
  dovecot = await startDovecot({
    users: [ALICE, CAROL],
    further: `mail_plugins = quota\nplugin {\n  quota = maildir:User quota\n  quota_rule = *:storage=40K\n  quota_grace = 0\n}\n`,
  });
});
afterAll(() => dovecot?.stop());

const server = () =>
  prepareMailServer({ host: '127.0.0.1', port: dovecot.lmtpPort, tls: 'none', protocol: 'lmtp' });
const envelope = (...to: string[]) => ({
  reversePath: mailbox('bob@elsewhere.test'),
  mailParameters: [],
  recipients: to.map((address) => ({ mailbox: mailbox(address), parameters: [] })),
});
const message = (octets: number) => Buffer.from(`Subject: a\r\n\r\n${'.dots\r\n'.repeat(octets / 7)}`);
const inboxOf = ({ login }: { login: string }) => readdirSync(join(dovecot.mailFolder(login), 'new')).length;

test('RFC 2033: Dovecot answers for each recipient, one whose mailbox is full and one that is not there', async () => {
  const courier = new SmtpCourier({
    ...{ server: await server(), hostname: 'gateway.sealgate.test', login: null, clock: () => new Date() },
  });
  const deliver = async (octets: number, ...to: string[]) => {
    const outcomes = await courier.deliver({
      ...{ id: newMailId(), purpose: 'released', way: { kind: 'smtp' }, requireTls: 'no' },
      ...{ octets: message(octets), envelope: envelope(...to) },
    });
    return outcomes.map(({ kind, reply }) => `${kind} ${reply?.code ?? '-'}`);
  };
  expect(await deliver(28_000, CAROL.login)).toEqual(['delivered 250']);
  expect(await deliver(28_000, CAROL.login, 'nobody@sealgate.test', ALICE.login)).toEqual([
    'failed 552',
    'failed 550',
    'delivered 250',
  ]);
  // The connection goes on.
  expect(await deliver(700, ALICE.login, CAROL.login)).toEqual(['delivered 250', 'delivered 250']);
  expect([inboxOf(ALICE), inboxOf(CAROL)]).toEqual([2, 2]);
  await courier.close();
});

test('a message from a spool arrives at every mailbox', async () => {
  const writer = encryptedSpool({ memoryOctets: 0 }).begin();
  await writer.write(message(1_400));
  const octets = await writer.finish();
  const client = await connectUpstream(await server(), 'gateway.sealgate.test');
  const before = inboxOf(ALICE);
  const outcomes = await deliverIn(client, {
    ...{ octets, requireTls: 'no', purpose: 'released', envelope: envelope(ALICE.login, CAROL.login) },
  });
  expect(outcomes.map(({ kind }) => kind)).toEqual(['delivered', 'delivered']);
  expect(inboxOf(ALICE)).toBe(before + 1);
  client.quit();
  await octets.discard();
});
