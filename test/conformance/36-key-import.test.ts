import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { deliverByLmtp } from '../../src/evaluation/lmtp-delivery.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { encrypted, mailOf, textEntity } from '../attacks/support/openssl-mail.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import { ImapClient } from './support/imap-client.ts';

/** What a Dovecot without MOVE says it can do. */
const WITHOUT_MOVE =
  'imap_capability = IMAP4rev1 SASL-IR LITERAL+ ID ENABLE IDLE UIDPLUS ESEARCH SPECIAL-USE';

describe.each([
  ['by MOVE', ''],
  ['by COPY and EXPUNGE', WITHOUT_MOVE],
])('36: a key comes for mail that was shown as such that no key opens, %s', (_, dovecot) => {
  let system: MailSystem;
  let gateway: Gateway;
  let subjects: Map<number, string>;

  beforeAll(async () => {
    system = await startMailSystem({ users: ['alice', 'bob'], dovecot });
    const other = await system.pki.issueUser({
      address: addressOf('alice'),
      name: 'alice-new',
      password: 'p12-new',
    });
    await deliver('opened before', [other.certificateFile]);
    await deliver('never opened', [other.certificateFile]);
    await deliver('for somebody else', [system.user('bob').identity.certificateFile]);
    const direct = await client(system.dovecot.imapPort, false);
    await direct.ok('SELECT INBOX');
    await direct.ok('STORE 1 +FLAGS (\\Flagged $Label1)');
    direct.close();
    const before = await client(system.imapPort);
    await before.ok('SELECT INBOX');
    for (const uid of [1, 3])
      expect((await before.item(uid, 'BODY.PEEK[]')).toString()).toContain('none of your keys fits');
    before.close();
    await system.gateway.close();
    gateway = await withNewKey(other.pkcs12File);
  });
  afterAll(async () => {
    await gateway?.close();
    await system?.stop();
  });

  async function deliver(subject: string, certificateFiles: readonly string[]): Promise<void> {
    const recipients = certificateFiles.map((certificateFile) => ({ certificateFile }));
    await deliverByLmtp(system.dovecot.lmtpPort, {
      reversePath: addressOf('bob'),
      recipients: [addressOf('alice')],
      octets: mailOf(
        [`From: ${addressOf('bob')}`, `Subject: ${subject}`],
        await encrypted(textEntity(`words of: ${subject}`), recipients),
      ),
      eightBit: false,
      smtpUtf8: false,
    });
  }

  async function client(port: number, tls = true): Promise<ImapClient> {
    const opened = await ImapClient.open(port, tls ? system.pki.ca.certificate : undefined);
    await opened.login(system.user('alice').login, system.user('alice').password);
    return opened;
  }

  async function withNewKey(file: string): Promise<Gateway> {
    const settings = parse(await readFile(system.configFile, 'utf8'));
    const password = join(system.folder, 'secrets', 'new.password');
    await writeFile(password, 'p12-new', { mode: 0o600 });
    settings.keys.push({ name: 'alice-new', kind: 'pkcs12', file, password: { file: password } });
    settings.principals.list[0].keys.push('alice-new');
    settings.reading = { refreshAfterNewKey: 10 };
    const configFile = join(system.folder, 'later.yaml');
    await writeFile(configFile, stringify(settings), { mode: 0o600 });
    const loaded = await loadConfig(configFile);
    if (loaded.kind === 'invalid') throw new Error(JSON.stringify(loaded.problems));
    return startGateway(loaded.config, { write: () => undefined });
  }

  async function listed(reader: ImapClient): Promise<Map<number, string>> {
    const all = await reader.fetch(
      'UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (SUBJECT)])',
    );
    return new Map(
      all.map(({ items }) => [
        Number(items.get('UID')),
        [
          String(items.get('BODY[HEADER.FIELDS (SUBJECT)]')).trim(),
          String(items.get('INTERNALDATE')),
          (items.get('FLAGS') as string[]).filter((flag) => flag !== '\\Recent').sort(),
        ].join(' | '),
      ]),
    );
  }

  test('it gets a new UID with its flags and its date, in news that a NOOP brings; the others stay', async () => {
    const reader = await client(gateway.port('imaps'));
    await reader.ok('SELECT INBOX');
    subjects = await listed(reader);
    const { untagged } = await reader.ok('NOOP');
    const texts = untagged.map(({ text }) => text);
    expect(texts).toContain('1 EXPUNGE');
    expect(texts.some((text) => /^[0-9]+ EXISTS/.test(text))).toBe(true);
    const now = await listed(reader);
    expect([...now.keys()].sort()).toEqual([2, 3, 4]);
    expect(now.get(4)).toBe(subjects.get(1));
    expect(now.get(4)).toMatch(/\$Label1,\\Flagged|\\Flagged,\$Label1/);
    for (const uid of [2, 3]) expect(now.get(uid)).toBe(subjects.get(uid));
    expect((await reader.item(4, 'BODY.PEEK[]')).toString()).toContain('words of: opened before');
    expect((await reader.item(2, 'BODY.PEEK[]')).toString()).toContain('words of: never opened');
    expect((await reader.item(3, 'BODY.PEEK[]')).toString()).toContain('none of your keys fits');
    reader.close();
  });

  test('once: nothing moves in the next sessions, nor where nothing may be changed', async () => {
    for (const command of ['SELECT INBOX', 'EXAMINE INBOX']) {
      const reader = await client(gateway.port('imaps'));
      await reader.ok(command);
      const { untagged } = await reader.ok('NOOP');
      expect(untagged.filter(({ text }) => /EXPUNGE|EXISTS/.test(text))).toEqual([]);
      expect([...(await listed(reader)).keys()].sort()).toEqual([2, 3, 4]);
      reader.close();
    }
  });
});
