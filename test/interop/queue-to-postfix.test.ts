import { afterAll, beforeAll, expect, test } from 'vitest';
import { prepareMailServer } from '../../src/connections/mail-server.ts';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { freePort } from '../../src/evaluation/free-port.ts';
import { newMailId } from '../../src/ids.ts';
import { Secret } from '../../src/log/secret.ts';
import { SmtpCourier } from '../../src/queue/smtp-courier.ts';
import type { Parameter } from '../../src/smtp/envelope.ts';
import { mailbox } from '../queue/support/queue.ts';
import { startPostfix } from '../support/services/postfix.ts';

/** What the gateway delivers by itself goes to a real Postfix: login, several mails on one connection, DSN, refused recipients. */

const USER = { login: 'sealgate@sealgate.test', password: 'pass-sealgate' };
let dovecot: Dovecot;
let authPort: number;
beforeAll(async () => {
  authPort = await freePort();
  dovecot = await startDovecot({
    users: [USER],
    // With SCRAM the password is proved and not sent.
    further: `auth_mechanisms = plain login scram-sha-256\nservice auth {\n  inet_listener sasl {\n    port = ${authPort}\n  }\n}\n`,
  });
});
afterAll(() => dovecot?.stop());

test('Postfix takes what the queue has, several mails on one connection, and refuses a recipient without the others', async () => {
  if (process.getuid?.() !== 0) {
    await expect(startPostfix(authPort)).rejects.toThrow('only as root');
    return;
  }
  const postfix = await startPostfix(authPort);
  const courier = new SmtpCourier({
    server: await prepareMailServer({ host: '127.0.0.1', port: postfix.port, tls: 'none' }),
    ...{ hostname: 'gateway.sealgate.test', clock: () => new Date() },
    login: { kind: 'password', name: USER.login, password: new Secret(USER.password) },
  });
  const deliver = (to: readonly string[], parameters: readonly Parameter[] = []) =>
    courier.deliver({
      ...{ id: newMailId(), purpose: 'released', way: { kind: 'smtp' }, requireTls: 'no' },
      octets: Buffer.from('Subject: a\r\n\r\n.dots\r\n..\r\n.\r\nend\r\n'),
      envelope: {
        reversePath: mailbox('alice@sealgate.test'),
        mailParameters: [{ keyword: 'RET', value: 'HDRS' }],
        recipients: to.map((address) => ({ mailbox: mailbox(address), parameters })),
      },
    });
  try {
    const notify = [{ keyword: 'NOTIFY', value: 'SUCCESS,FAILURE' }];
    for (const name of ['bob', 'carol', 'dave']) {
      const [outcome] = await deliver([`${name}@partner.example`], notify);
      expect(outcome).toMatchObject({ kind: 'delivered', reply: { code: 250 } });
      expect(outcome).not.toHaveProperty('unconfirmed');
    }
    const mixed = await deliver(['erin@partner.example', 'refused@partner.example']);
    expect(mixed.map(({ kind }) => kind)).toEqual(['delivered', 'failed']);
    const sent = /to=<erin@partner\.example>.*status=sent/;
    await expect.poll(() => postfix.logText()).toMatch(sent);
    const text = await postfix.logText();
    expect(text.match(/ connect from /g)?.length).toBe(1);
    expect(text.match(/sasl_username=sealgate@sealgate\.test/g)?.length).toBe(4);
  } finally {
    await courier.close();
    await postfix.stop();
  }
});
