import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ReceivedMail } from '../../src/evaluation/smtp-upstream.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import { requireCommand } from '../support/require-command.ts';

const STRANGER = addressOf('bob');

let system: MailSystem;
let page: string;
beforeAll(async () => {
  system = await startMailSystem({
    users: ['alice', 'bob'],
    withoutKeys: ['bob'],
    queue: {},
    rules: [{ name: 'ask', sign: 'require', encrypt: 'require', withoutCertificate: 'ask' }],
    sections: {
      holding: { url: 'https://gateway.sealgate.test' },
      http: [{ name: 'web', host: '127.0.0.1', port: 0, tls: 'implicit', serves: ['held-mail'] }],
    },
  });
  page = `https://localhost:${system.gateway.port('web')}/held`;
});
afterAll(() => system?.stop());

async function curl(url: string, form: Record<string, string> = {}): Promise<string> {
  const { stdout } = await promisify(execFile)(await requireCommand('curl'), [
    ...['-sS', '--cacert', system.pki.ca.certificateFile],
    ...Object.entries(form).flatMap(([name, value]) => ['--data-urlencode', `${name}=${value}`]),
    url,
  ]);
  return stdout;
}

const arrived: ReceivedMail[] = [];

/** The next mail to this recipient that the mail server gets. */
async function nextMailTo(recipient: string): Promise<ReceivedMail> {
  let found: ReceivedMail | undefined;
  await expect
    .poll(() => {
      arrived.push(...system.taken());
      const index = arrived.findIndex(({ envelope }) => envelope.recipients.includes(recipient));
      if (index >= 0) [found] = arrived.splice(index, 1);
      return found;
    })
    .toBeDefined();
  if (found === undefined) throw new Error(`no mail for ${recipient}`);
  return found;
}

/** Where the link of a mail to alice leads, at this gateway's port. */
async function nextLink(): Promise<string> {
  const { text = '' } = await simpleParser((await nextMailTo(addressOf('alice'))).octets);
  const [, token] = /https:\/\/gateway\.sealgate\.test\/held\/([\w-]+)/.exec(text) ?? [];
  if (token === undefined) throw new Error(`no link in ${text}`);
  return `${page}/${token}`;
}

test('a sender follows the link of a question, sees her mail, and has it sent signed', async () => {
  await system.send('alice', { to: STRANGER, subject: 'Offer', text: 'Only for you.' });
  const link = await nextLink();
  const shown = await curl(link);
  expect(shown).toContain('<dd><bdi>Offer</bdi></dd>');
  expect(shown).toContain(STRANGER);
  expect(shown).not.toContain('Only for you');
  expect(arrived.filter(({ envelope }) => envelope.recipients.includes(STRANGER))).toEqual([]);

  expect(await curl(link, { choice: 'send-signed' })).toContain('signed, and not encrypted');
  const { octets } = await nextMailTo(STRANGER);
  expect(octets.toString()).toMatch(/multipart\/signed[\s\S]*Only for you/);
  expect(await curl(link, { choice: 'discard' })).toContain('class="bad"');
});

test('a sender who has lost the question is sent another link, and discards her mail', async () => {
  await system.send('alice', { to: STRANGER, subject: 'Second', text: 'Later.' });
  await nextLink();
  expect(await curl(page, { address: 'nobody@sealgate.test' })).toBe(
    await curl(page, { address: addressOf('alice') }),
  );
  const list = await nextLink();
  const [, mail] = /<a href="([\w-]+)">/.exec(await curl(list)) ?? [];
  expect(await curl(`${page}/${mail}`)).toContain('Second');
  expect(await curl(`${page}/${mail}`, { choice: 'discard' })).toContain('was discarded');
  expect(await curl(list)).toContain('No mail of yours is waiting');
});

test('attack: a link that was changed opens nothing', async () => {
  await system.send('alice', { to: STRANGER, subject: 'Third', text: 'Later.' });
  const link = await nextLink();
  const last = link.at(-1) === 'A' ? 'E' : 'A';
  for (const forged of [
    `${link}A`,
    link.slice(0, -1),
    `${link.slice(0, -1)}${last}`,
    `${page}/${'A'.repeat(80)}`,
  ]) {
    expect(await curl(forged, { choice: 'discard' })).toContain('leads nowhere');
  }
  expect(await curl(link)).toContain('Third');
});
