import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { ImapConversation } from '../imap-proxy/support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from '../imap-proxy/support/listener.ts';
import { toyEncrypted } from '../imap-proxy/support/toy-story.ts';

/** Whoever opens somebody else's mailbox, by whatever right the mail server gives, does not get the owner's keys with it. */

const OWNER = 'bob@example.org';
let folder: string;
let dovecot: Dovecot;
let proxy: TestProxy;
const sealed = toyEncrypted(
  ['From: alice@example.org', `To: ${OWNER}`, 'Subject: sealed'],
  'Content-Type: text/plain\r\n\r\nThe secret is 42.\r\n',
);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-master-'));
  await chmod(folder, 0o755);
  const masters = join(folder, 'masters');
  await writeFile(masters, 'master:{PLAIN}mpw::::::\n', { mode: 0o644 });
  dovecot = await startDovecot({
    users: [{ login: OWNER, password: 'pw' }],
    further: `
auth_master_user_separator = *
passdb {
  driver = passwd-file
  master = yes
  args = ${masters}
  result_success = continue
}
`,
  });
  proxy = await startTestProxy(dovecot.imapPort, {
    hasKeys: ({ login }) => login === OWNER,
    rawLoginSuffix: '+raw',
    relayMechanisms: ['CRAM-MD5'],
  });
  const owner = await ImapConversation.login(dovecot.imapPort, OWNER, 'pw');
  await owner.command(`APPEND INBOX {${sealed.length}+}\r\n${sealed.toString('latin1')}`);
  owner.close();
});

afterAll(async () => {
  await proxy?.close();
  await dovecot?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function whole(client: ImapConversation): Promise<string> {
  await client.command('EXAMINE INBOX');
  const answer = await client.command('FETCH 1 BODY.PEEK[]');
  const [head = ''] = /BODY\[\] \{\d+\}\r\n/.exec(answer) ?? [];
  return answer.slice(answer.indexOf(head) + head.length).slice(0, sealed.length);
}

const plain = (authorized: string, login: string, password: string): string =>
  `AUTHENTICATE PLAIN ${Buffer.from(`${authorized}\0${login}\0${password}`).toString('base64')}`;

test('44: the owner reads the text', async () => {
  const client = await ImapConversation.login(proxy.port, OWNER, 'pw');
  expect(await whole(client)).toContain('The secret is 42.');
  client.close();
});

test.each([
  ['a master user', `LOGIN "${OWNER}*master" mpw`, `${OWNER}*master`],
  ['a master user by AUTHENTICATE', plain('', `${OWNER}*master`, 'mpw'), `${OWNER}*master`],
  ['the owner who asks for stored mail', `LOGIN ${OWNER}+raw pw`, OWNER],
])('44: %s is let in by the mail server, and sees mail as it is stored', async (_who, login, principal) => {
  const opened = proxy.control.opened;
  const client = await ImapConversation.open(proxy.port);
  expect(await client.command(login)).toMatch(/ OK /);
  expect(await whole(client)).toBe(sealed.toString('latin1'));
  expect(proxy.control.opened).toBe(opened);
  const principals = proxy.events.flatMap((each) =>
    each.event === 'imap.authenticated' ? [each.principal] : [],
  );
  expect(principals.at(-1)).toBe(principal);
  client.close();
});

test.each([
  ['an authorization identity of its own', plain(OWNER, 'master', 'mpw'), /NO \[AUTHORIZATIONFAILED\]/],
  ['the owner’s name with the master’s password', `LOGIN ${OWNER} mpw`, / NO /],
  ['a shared mailbox by Exchange’s form', `LOGIN "EXAMPLE\\\\bob\\\\${OWNER}" pw`, / NO /],
  ['a shared mailbox behind a slash', `LOGIN ${OWNER}/shared pw`, / NO /],
])('44: %s is refused', async (_who, login, expected) => {
  const client = await ImapConversation.open(proxy.port);
  expect(await client.command(login)).toMatch(expected);
  client.close();
});
