import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import { type Shown, shownOf } from './support/mailbox.ts';
import {
  cmsOf,
  crlf,
  encrypted,
  forgeCertificate,
  mailOf,
  signed,
  textEntity,
  userExtensions,
  withCms,
} from './support/openssl-mail.ts';

/**
 * "Johnny, you are fired!" (USENIX Security 2019) against the whole gateway: whatever a stranger puts into bob's mailbox,
 * his client sees `smime=pass` only where alice's key has signed what is shown and the mail says it is from her.
 */

let system: MailSystem;
let folder: string;
const ALICE = addressOf('alice');
const BOB = addressOf('bob');
const HEADER = [`From: ${ALICE}`, `To: ${BOB}`, 'Subject: s', 'Date: Mon, 01 Jun 2026 10:00:00 +0000'];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-spoofing-'));
  system = await startMailSystem({ users: ['alice', 'bob', 'mallory'] });
});
afterAll(async () => {
  await system?.stop();
  await rm(folder, { recursive: true, force: true });
});

const alice = () => system.user('alice').identity;
const mallory = () => system.user('mallory').identity;
const toBob = (entity: Buffer): Promise<Buffer> => encrypted(entity, [system.user('bob').identity]);

/** As bob's client sees it: opaque, and (since anybody can encrypt to bob) encrypted as well. */
async function views(fields: readonly string[], entity: Buffer): Promise<Shown[]> {
  return [
    await shownOf(system, 'bob', mailOf(fields, entity)),
    await shownOf(system, 'bob', mailOf(fields, await toBob(entity))),
  ];
}

function expectNotBelieved(shown: readonly Shown[]): void {
  for (const { octets, result, status } of shown) {
    expect(result).not.toBe('pass');
    expect(status ?? '').not.toContain('verdict=trusted');
    expect(octets.match(/smime=pass/g) ?? []).toEqual([]);
  }
}

it('believes the genuine mail: opaque, encrypted, clear inside encrypted', async () => {
  const opaque = await signed(textEntity('I like you.'), alice(), { form: 'opaque' });
  for (const { result, status, octets } of await views(HEADER, opaque)) {
    expect(result).toBe('pass');
    expect(status).toContain('verdict=trusted');
    expect(octets).toContain('I like you.');
  }
  const clear = await signed(textEntity('I like you.'), alice());
  const shown = await shownOf(system, 'bob', mailOf(HEADER, await toBob(clear)));
  expect(shown.result).toBe('pass');
});

describe('who the mail says it is from', () => {
  it.each([
    ['somebody else', ['From: boss@sealgate.test']],
    ['nobody', []],
    ['an empty From', ['From: ']],
    ['two From fields', [`From: ${ALICE}`, 'From: boss@sealgate.test']],
    ['two From fields, the other first', ['From: boss@sealgate.test', `From: ${ALICE}`]],
    ['a second From with a blank before its colon', [`From: ${ALICE}`, 'From : boss@sealgate.test']],
    ['two authors', [`From: boss@sealgate.test, ${ALICE}`]],
    ['the signer only as Sender', ['From: boss@sealgate.test', `Sender: ${ALICE}`]],
    ['the signer only as comment', [`From: boss@sealgate.test (${ALICE})`]],
    ['the signer as display name', [`From: "${ALICE}" <boss@sealgate.test>`]],
    ['another address as display name', [`From: "boss@sealgate.test" <${ALICE}>`]],
    ['an encoded address as display name', [`From: =?utf-8?B?Ym9zc0BzZWFsZ2F0ZS50ZXN0?= <${ALICE}>`]],
    ['another address before the brackets', [`From: boss@sealgate.test <${ALICE}>`]],
    ['a group', [`From: boss@sealgate.test:${ALICE};`]],
    ['a route', [`From: <@boss.test:${ALICE}>`]],
    ['an encoded word as local part', ['From: =?utf-8?Q?boss=40x=2etest=00?=alice@sealgate.test']],
    ['a longer domain', [`From: ${ALICE}.evil.test`]],
    ['a NUL-like trick', [`From: ${ALICE}\x01@evil.test`]],
  ])('%s', async (_, from) => {
    const opaque = await signed(textEntity('I like you.'), alice(), { form: 'opaque' });
    expectNotBelieved(await views([...from, ...HEADER.slice(1)], opaque));
  });

  it('a From behind a lone CR is no line of its own in what is shown', async () => {
    const opaque = await signed(textEntity('I like you.'), alice(), { form: 'opaque' });
    const fields = [`X: 1\rFrom: boss@sealgate.test`, ...HEADER];
    for (const { octets } of await views(fields, opaque)) {
      const lines = octets.slice(0, octets.indexOf('\r\n\r\n')).split(/\r\n|\r|\n/);
      expect(lines.filter((line) => /^from/i.test(line))).toEqual([`From: ${ALICE}`]);
    }
  });

  it('mallory’s own good certificate under alice’s name', async () => {
    const opaque = await signed(textEntity('I hate you.'), mallory(), { form: 'opaque' });
    const [shown, sealed] = await views(HEADER, opaque);
    expectNotBelieved([shown, sealed].filter((each) => each !== undefined));
    expect(shown?.status).toContain('from=other');
    expect(sealed?.octets).toContain('The signer is not the sender named in From.');
  });

  it('mallory’s good signature and alice’s bad one together', async () => {
    const two = await signed(textEntity('I hate you.'), mallory(), { form: 'opaque' });
    const both = await signed(textEntity('I like you.'), alice(), { form: 'opaque' });
    const octets = Buffer.concat([cmsOf(two), cmsOf(both)]);
    expectNotBelieved(await views(HEADER, withCms(two, octets)));
  });
});

describe('whose certificate it is', () => {
  const caExtensions = ['basicConstraints = critical, CA:TRUE', 'keyUsage = critical, keyCertSign, cRLSign'];
  const forged = async (wish: Omit<Parameters<typeof forgeCertificate>[1], 'name'> & { name?: string }) =>
    forgeCertificate(folder, { name: `forged-${Math.floor(performance.now() * 1000)}`, ...wish });
  const realCa = () => system.pki.ca;

  const CASES: [string, () => Promise<Awaited<ReturnType<typeof forgeCertificate>>>][] = [
    ['self-signed', () => forged({ extensions: userExtensions(ALICE) })],
    [
      'issued by an authority of the same name that nobody trusts',
      async () => {
        const issuer = await forged({ name: 'Sealgate throwaway CA', extensions: caExtensions });
        return forged({ extensions: userExtensions(ALICE), issuer });
      },
    ],
    ['issued by a mail user', () => forged({ extensions: userExtensions(ALICE), issuer: mallory() })],
    [
      'expired',
      () =>
        forged({
          extensions: userExtensions(ALICE),
          issuer: realCa(),
          validity: { from: '20200101000000Z', to: '20210101000000Z' },
        }),
    ],
    [
      'not valid yet',
      () =>
        forged({
          extensions: userExtensions(ALICE),
          issuer: realCa(),
          validity: { from: '20400101000000Z', to: '20410101000000Z' },
        }),
    ],
    ['for another address', () => forged({ extensions: userExtensions(`x${ALICE}`), issuer: realCa() })],
    [
      'for the address with a NUL behind it',
      () => forged({ extensions: userExtensions('alice@sealgate.test.evil.test'), issuer: realCa() }),
    ],
    [
      'for TLS servers',
      () =>
        forged({
          extensions: userExtensions(ALICE).map((line) => line.replace('emailProtection', 'serverAuth')),
          issuer: realCa(),
        }),
    ],
    [
      'for encryption only',
      () =>
        forged({
          extensions: userExtensions(ALICE).map((line) => line.replace('digitalSignature, ', '')),
          issuer: realCa(),
        }),
    ],
    [
      'with the address only in the subject',
      () =>
        forged({
          name: ALICE,
          extensions: userExtensions(ALICE).filter((line) => !line.startsWith('subjectAltName')),
          issuer: realCa(),
        }),
    ],
    [
      'with a critical extension nobody knows',
      () =>
        forged({
          extensions: [...userExtensions(ALICE), '1.2.3.4.5 = critical, DER:0500'],
          issuer: realCa(),
        }),
    ],
    [
      'issued with SHA-1',
      () => forged({ extensions: userExtensions(ALICE), issuer: realCa(), digest: 'sha1' }),
    ],
  ];
  it.each(CASES)('%s', async (_, issue) => {
    const opaque = await signed(textEntity('I hate you.'), await issue(), { form: 'opaque' });
    expectNotBelieved(await views(HEADER, opaque));
  });

  it('the control: the same recipe without a flaw is believed', async () => {
    const sound = await forged({ extensions: userExtensions(ALICE), issuer: realCa() });
    const opaque = await signed(textEntity('I like you.'), sound, { form: 'opaque' });
    for (const { result } of await views(HEADER, opaque)) expect(result).toBe('pass');
  });
});

describe('what the signature covers', () => {
  const part = (entity: Buffer): string => entity.toString('latin1');
  const wrapped = (type: string, ...parts: string[]): Buffer =>
    crlf(
      `Content-Type: ${type}; boundary=out\n\n${parts.map((each) => `--out\n${each}\n`).join('')}--out--\n`,
    );
  const html = 'Content-Type: text/html\n\nI hate you.<!--';

  it.each(['clear', 'opaque'] as const)('a %s-signed part among others is no signed mail', async (form) => {
    const inner = part(await signed(textEntity('I like you.'), alice(), { form }));
    for (const entity of [
      wrapped('multipart/mixed', html, inner),
      wrapped('multipart/mixed', inner, html),
      wrapped('multipart/mixed', inner),
      wrapped('multipart/related', html, inner),
      wrapped('multipart/alternative', inner, html),
      wrapped('multipart/mixed', html, `Content-Type: message/rfc822\n\n${HEADER.join('\n')}\n${inner}`),
      crlf(`Content-Type: message/rfc822\n\n${HEADER.join('\n')}\n${inner}`),
      wrapped('multipart/digest', `\n${HEADER.join('\n')}\n${inner}`),
    ]) {
      expectNotBelieved(await views(HEADER, entity));
    }
  });

  it('replaced content of a clear-signed mail', async () => {
    const genuine = part(await signed(textEntity('I like you.'), alice()));
    for (const changed of [
      genuine.replace('I like you.', 'I hate you.'),
      genuine.replace('text/plain', 'text/html '),
      genuine.replace('I like you.', 'I like you. '),
      genuine.replace('I like you.\r\n', 'I like you.\r\n\r\n'),
      genuine.replace(/(------[0-9A-F]+)\r\n/, `$1\r\n${html}\r\n$1\r\n`),
    ]) {
      expect(changed).not.toBe(genuine);
      expectNotBelieved(await views(HEADER, Buffer.from(changed, 'latin1')));
    }
  });

  it('a detached signature sent alone, and over nothing', async () => {
    const genuine = part(await signed(textEntity('I like you.'), alice()));
    const base64 = genuine
      .slice(genuine.lastIndexOf('smime.p7s"') + 10)
      .replace(/------[\s\S]*$/, '')
      .trim();
    const alone = crlf(
      `Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n${base64}\n`,
    );
    expectNotBelieved(await views(HEADER, alone));
  });

  it('opaque inside clear: the content shown is not the content signed', async () => {
    const opaque = await signed(textEntity('I like you.'), alice(), { form: 'opaque' });
    const body = part(opaque).slice(part(opaque).indexOf('\r\n\r\n') + 4);
    const entity = crlf(
      [
        'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary=b',
        '',
        '--b',
        'Content-Type: text/plain',
        '',
        'I hate you.',
        '--b',
        'Content-Type: application/pkcs7-signature; name=smime.p7s',
        'Content-Transfer-Encoding: base64',
        '',
        body.trim(),
        '--b--',
        '',
      ].join('\n'),
    );
    expectNotBelieved(await views(HEADER, entity));
  });

  it('a SHA-1 or MD5 signature', async () => {
    for (const digest of ['sha1', 'md5']) {
      const opaque = await signed(textEntity('I like you.'), alice(), {
        form: 'opaque',
        more: ['-md', digest],
      });
      expectNotBelieved(await views(HEADER, opaque));
    }
  });

  it('alice’s encrypted mail, taken apart and signed by mallory around it', async () => {
    const inner = await signed(textEntity('I like you.'), mallory(), { form: 'opaque' });
    const outer = await signed(inner, alice(), { form: 'opaque' });
    // The innermost signature is the author's; alice only forwards what mallory wrote.
    expectNotBelieved(await views(HEADER, outer));
  });
});

describe('types and transfer encodings read in two ways', () => {
  it.each<[string, (text: string) => string]>([
    ['two Content-Type fields', (text) => `Content-Type: text/html\r\n${text}`],
    ['a Content-Type with a blank before the colon', (text) => `Content-Type : text/html\r\n${text}`],
    ['two transfer encodings', (text) => `Content-Transfer-Encoding: 7bit\r\n${text}`],
    [
      'smime-type said twice',
      (text) => text.replace('smime-type=signed-data', 'smime-type=certs-only; smime-type=signed-data'),
    ],
    [
      'smime-type of encrypted mail',
      (text) => text.replace('smime-type=signed-data', 'smime-type=enveloped-data'),
    ],
    ['an octet stream', (text) => text.replace('application/pkcs7-mime', 'application/octet-stream')],
    [
      'a multipart that is none',
      (text) => text.replace('application/pkcs7-mime', 'multipart/mixed; boundary=b'),
    ],
  ])('%s never shows other text under alice’s name', async (_, change) => {
    const opaque = (await signed(textEntity('I like you.'), alice(), { form: 'opaque' })).toString('latin1');
    expect(change(opaque)).not.toBe(opaque);
    const shown = await shownOf(system, 'bob', mailOf(HEADER, Buffer.from(change(opaque), 'latin1')));
    // Where it is believed, what is shown is what alice signed.
    if (shown.result === 'pass') expect(shown.octets).toContain('I like you.');
    expect(shown.octets).not.toContain('I hate you.');
    expect(shown.size).toBe(shown.octets.length);
  });
});
