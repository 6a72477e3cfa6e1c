import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deliverByLmtp } from '../../src/evaluation/lmtp-delivery.ts';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import type { Started } from '../support/services/disposable.ts';
import type { Mbsync } from '../support/services/mbsync.ts';
import { services } from '../support/services/services.ts';

/** Plain, clear-signed, opaque-signed, signed and encrypted (CBC and GCM), encrypted only, with an attachment. */
describe('mbsync pulls a mailbox with plain, signed and encrypted mails through the proxy, twice', () => {
  let system: MailSystem;
  let mbsync: Started<Mbsync>;

  beforeAll(async () => {
    system = await startMailSystem({ users: ['alice', 'bob'], pinned: ['bob'] });
    await system.send('alice', { to: addressOf('bob'), subject: 'encrypted', text: 'secret one' });
    await system.send('alice', {
      to: addressOf('bob'),
      subject: 'encrypted with attachment',
      text: 'secret two',
      attachments: [{ filename: 'noise.bin', content: Buffer.alloc(200_000, 0xa5) }],
    });
    for (const octets of await madeByOpenssl(system)) await deliver(system, octets);

    mbsync = await services.mbsync({
      port: system.imapPort,
      ...system.user('bob'),
      tls: 'implicit',
      caFile: system.pki.ca.certificateFile,
    });
  });
  afterAll(async () => {
    await mbsync?.stop();
    await system?.stop();
  });

  it('the first run pulls every mail, decrypted where it was encrypted and octet for octet where it was not', async () => {
    const before = digests(await system.stored('bob'));
    const { succeeded, transcript } = await mbsync.sync();
    expect(succeeded, transcript).toBe(true);
    const pulled = await pulledMails(mbsync.inbox);
    const stored = await system.stored('bob');
    expect(pulled).toHaveLength(stored.length);
    const texts = pulled.map((mail) => mail.toString('latin1'));
    for (const words of [
      'secret one',
      'secret two',
      'plain words',
      'clear words',
      'opaque words',
      'gcm words',
      'only words',
    ]) {
      expect(
        texts.filter((text) => text.includes(words)),
        words,
      ).toHaveLength(1);
    }
    const plain = stored.find((mail) => mail.includes('plain words'));
    const clear = stored.find((mail) => mail.includes('clear words'));
    for (const original of [plain, clear]) {
      expect(pulled.some((mail) => withoutTuid(mail).equals(withoutTuid(original ?? Buffer.alloc(0))))).toBe(
        true,
      );
    }
    expect(digests(await system.stored('bob'))).toEqual(before);
  });

  it('the second run changes nothing, near or far', async () => {
    const nearBefore = digests(await pulledMails(mbsync.inbox));
    const farBefore = digests(await system.stored('bob'));
    const { succeeded, transcript } = await mbsync.sync();
    expect(succeeded, transcript).toBe(true);
    expect(transcript).not.toMatch(/error|warning/i);
    expect(digests(await pulledMails(mbsync.inbox))).toEqual(nearBefore);
    expect(digests(await system.stored('bob'))).toEqual(farBefore);
  });
});

async function madeByOpenssl(system: MailSystem): Promise<Buffer[]> {
  const { identity } = system.user('alice');
  const bob = system.user('bob').identity.certificateFile;
  const head = ['From: alice@sealgate.test', 'To: bob@sealgate.test', 'Message-ID: <UNIQUE@sealgate.test>'];
  const entity = (words: string) => `Content-Type: text/plain\r\n\r\n${words}\r\n`;
  const signer = ['-signer', identity.certificateFile, '-inkey', identity.keyFile];
  const cms = async (args: string[], input: string | Buffer) =>
    (await runProgram('openssl', ['cms', ...args], { input })).stdout;
  const whole = (subject: string, body: string | Buffer) =>
    crlf(
      Buffer.concat([
        Buffer.from(`${[...head, `Subject: ${subject}`].join('\r\n').replace('UNIQUE', subject)}\r\n`),
        Buffer.from(body),
      ]),
    );
  const opaque = await cms(['-sign', '-nodetach', ...signer], entity('opaque words'));
  const signedInside = await cms(['-sign', ...signer], entity('gcm words'));
  return [
    whole('plain', entity('plain words')),
    whole('clear', await cms(['-sign', ...signer], entity('clear words'))),
    whole('opaque', opaque),
    whole('gcm', await cms(['-encrypt', '-aes-256-gcm', bob], signedInside)),
    whole('only', await cms(['-encrypt', '-aes-128-cbc', bob], entity('only words'))),
  ];
}

function crlf(octets: Buffer): Buffer {
  return Buffer.from(octets.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
}

async function deliver(system: MailSystem, octets: Buffer): Promise<void> {
  await deliverByLmtp(system.dovecot.lmtpPort, {
    reversePath: addressOf('alice'),
    recipients: [addressOf('bob')],
    octets,
    eightBit: false,
    smtpUtf8: false,
  });
}

/** mbsync marks what it pulls with a field of its own; everything else must be as it came. Maildir keeps LF. */
function withoutTuid(mail: Buffer): Buffer {
  return Buffer.from(
    mail
      .toString('latin1')
      .replace(/^X-TUID: .*\r?\n/m, '')
      .replace(/\r\n/g, '\n'),
    'latin1',
  );
}

async function pulledMails(folder: string): Promise<Buffer[]> {
  const mails: { name: string; path: string }[] = [];
  for (const part of ['new', 'cur']) {
    for (const name of await readdir(join(folder, part)))
      mails.push({ name, path: join(folder, part, name) });
  }
  mails.sort((a, b) => (a.name < b.name ? -1 : 1));
  return Promise.all(mails.map(({ path }) => readFile(path)));
}

function digests(mails: readonly Buffer[]): string[] {
  return mails.map((mail) => createHash('sha256').update(mail).digest('hex'));
}
