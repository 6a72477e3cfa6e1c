import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { ImapConversation } from '../imap-proxy/support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from '../imap-proxy/support/listener.ts';
import { toyEncrypted } from '../imap-proxy/support/toy-story.ts';

/** imapflow compresses wherever it may, Dovecot with its plugin: both legs, one of them, none. */

const LOGIN = 'bob@example.org';
const mails = [
  toyEncrypted(
    ['From: alice@example.org', 'Subject: sealed'],
    'Content-Type: text/plain\r\n\r\nThe secret is 42.\r\n',
  ),
  Buffer.from(`Subject: large\r\n\r\n${'0123456789abcdef0123456789abcdef\r\n'.repeat(60_000)}`),
  ...Array.from({ length: 200 }, (_, index) =>
    Buffer.from(`Subject: mail ${index}\r\n\r\nText ${index}\r\n`),
  ),
];
let dovecot: Dovecot;

beforeAll(async () => {
  dovecot = await startDovecot({
    users: [{ login: LOGIN, password: 'pw' }],
    further: `
protocol imap {
  mail_plugins = zlib imap_zlib
}
`,
  });
  const direct = await ImapConversation.login(dovecot.imapPort, LOGIN, 'pw');
  for (const mail of mails)
    await direct.command(`APPEND INBOX {${mail.length}+}\r\n${mail.toString('latin1')}`);
  direct.close();
});

afterAll(() => dovecot?.stop());

function client(port: number, disableCompression: boolean): ImapFlow {
  const auth = { user: LOGIN, pass: 'pw' };
  return new ImapFlow({ host: '127.0.0.1', port, secure: false, auth, logger: false, disableCompression });
}

async function everything(
  port: number,
  disableCompression: boolean,
): Promise<{ texts: string[]; raw: Buffer[] }> {
  const flow = client(port, disableCompression);
  await flow.connect();
  const lock = await flow.getMailboxLock('INBOX');
  const raw: Buffer[] = [];
  const texts: string[] = [];
  for await (const { source, envelope } of flow.fetch('1:*', { source: true, envelope: true, uid: true })) {
    raw.push(source ?? Buffer.alloc(0));
    texts.push(envelope?.subject ?? '');
  }
  lock.release();
  await flow.logout();
  return { texts, raw };
}

test.each([
  ['both legs', { compressUpstream: true }, false],
  ['the client alone', {}, false],
  ['the mail server alone', { compressUpstream: true }, true],
])('COMPRESS on %s: the same octets as without', async (_where, changes, disableCompression) => {
  const plain: TestProxy = await startTestProxy(dovecot.imapPort, {
    hiddenCapabilities: ['COMPRESS=DEFLATE'],
  });
  const proxy = await startTestProxy(dovecot.imapPort, changes);
  try {
    const expected = await everything(plain.port, true);
    const found = await everything(proxy.port, disableCompression);
    expect(found.texts).toEqual(expected.texts);
    expect(found.raw.map((mail, index) => mail.equals(expected.raw[index] ?? Buffer.alloc(0)))).toEqual(
      mails.map(() => true),
    );
    expect(found.raw[0]?.toString()).toContain('The secret is 42.');
  } finally {
    await proxy.close();
    await plain.close();
  }
});
