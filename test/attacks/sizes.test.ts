import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { UserIdentity } from '../../src/evaluation/throwaway-pki.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import { bulkCommand, plant, through } from './support/mailbox.ts';
import { crlf, encrypted, mailOf, signed } from './support/openssl-mail.ts';

/**
 * The promise that every listing rests on, on a zoo of mails made by OpenSSL: `RFC822.SIZE` is the length of BODY[], and
 * the pieces of a client that downloads in pieces add up to it. Where a view cannot be that small it is longer, and
 * `RFC822.SIZE` stays the stored size: which mails these are is said here and nowhere else.
 */

let system: MailSystem;
let elliptic: UserIdentity;
const HEADER = [
  `From: ${addressOf('alice')}`,
  `To: ${addressOf('bob')}`,
  'Subject: zoo',
  'Message-ID: <z@test>',
];

beforeAll(async () => {
  system = await startMailSystem({
    users: ['alice', 'bob'],
    async keys({ pki, folder, users }) {
      elliptic = await pki.issueUser({ address: addressOf('bob'), keyType: 'p-256' });
      const password = join(folder, 'alice.password');
      await writeFile(password, users.get('alice')?.identity.password ?? '', { mode: 0o600 });
      const rsa = users.get('bob')?.identity;
      return [
        {
          name: 'alice',
          kind: 'pkcs12',
          file: users.get('alice')?.identity.pkcs12File,
          password: { file: password },
        },
        { name: 'bob-rsa', kind: 'pem', certificate: rsa?.certificateFile, key: rsa?.keyFile },
        { name: 'bob-ec', kind: 'pem', certificate: elliptic.certificateFile, key: elliptic.keyFile },
      ];
    },
    keyOf: (name) => (name === 'bob' ? 'bob-rsa' : name),
    furtherKeys: (name) => (name === 'bob' ? ['bob-ec'] : []),
  });
});
afterAll(() => system?.stop());

const SIZES = [0, 1, 75, 76, 77, 997, 998, 999, 5_000, 65_536, 98_304, 300_000];
const words = (octets: number): string =>
  'The quick brown fox jumps over it.\r\n'.repeat(octets / 36 + 1).slice(0, octets);
const text = (size: number): Buffer =>
  Buffer.from(
    `Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${words(size)}`,
    'latin1',
  );

type Recipe = [string, (entity: Buffer) => Promise<Buffer>];
const rsa = () => [system.user('bob').identity];
const RECIPES: Recipe[] = [
  ['AES-256-CBC', (entity) => encrypted(entity, rsa(), { cipher: 'aes-256-cbc' })],
  ['AES-128-CBC', (entity) => encrypted(entity, rsa(), { cipher: 'aes-128-cbc' })],
  ['3DES', (entity) => encrypted(entity, rsa(), { cipher: 'des-ede3-cbc' })],
  ['AES-256-GCM', (entity) => encrypted(entity, rsa(), { cipher: 'aes-256-gcm' })],
  [
    'AES-128-GCM, by key identifier',
    (entity) => encrypted(entity, rsa(), { cipher: 'aes-128-gcm', more: ['-keyid'] }),
  ],
  ['ECDH, AES-256-CBC', (entity) => encrypted(entity, [elliptic], { cipher: 'aes-256-cbc' })],
  ['ECDH, AES-256-GCM', (entity) => encrypted(entity, [elliptic], { cipher: 'aes-256-gcm' })],
  [
    'signed and encrypted',
    async (entity) => encrypted(await signed(entity, system.user('alice').identity), rsa()),
  ],
  ['opaque-signed', (entity) => signed(entity, system.user('alice').identity, { form: 'opaque' })],
  ['clear-signed', (entity) => signed(entity, system.user('alice').identity)],
];

/** Sizes as three clients find them: one lists, one downloads whole, one in pieces of 64 KiB after login anew. */
async function measure(mail: Buffer): Promise<{ size: number; whole: Buffer; pieces: Buffer }> {
  const uid = await plant(system, 'bob', mail);
  const client = await through(system, 'bob');
  await client.command('EXAMINE INBOX');
  const size = Number(
    /RFC822\.SIZE ([0-9]+)/.exec(await client.command(`UID FETCH ${uid} (RFC822.SIZE)`))?.[1],
  );
  const whole = literalOf((await bulkCommand(client, `UID FETCH ${uid} (BODY.PEEK[])`)).octets);
  client.close();
  const cold = await through(system, 'bob');
  await cold.command('EXAMINE INBOX');
  const pieces: Buffer[] = [];
  for (let at = 0; ; at += 65_536) {
    const { octets } = await bulkCommand(cold, `UID FETCH ${uid} (BODY.PEEK[]<${at}.65536>)`);
    const piece = literalOf(octets);
    pieces.push(piece);
    if (piece.length < 65_536) break;
  }
  cold.close();
  return { size, whole, pieces: Buffer.concat(pieces) };
}

/** The first literal of a response; an empty quoted string is empty. */
function literalOf(response: Buffer): Buffer {
  const head = response.toString('latin1', 0, 300);
  const found = /\{([0-9]+)\}\r\n/.exec(head);
  if (found === null) return Buffer.alloc(0);
  const at = found.index + found[0].length;
  return response.subarray(at, at + Number(found[1]));
}

describe('ordinary content: one size for every client', () => {
  it.each(RECIPES)('%s', async (name, make) => {
    for (const octets of SIZES) {
      const mail = mailOf(HEADER, await make(text(octets)));
      const { size, whole, pieces } = await measure(mail);
      expect([name, octets, size]).toEqual([name, octets, mail.length]);
      if (octets < 100 && name === 'ECDH, AES-256-CBC') {
        // The smallest there is: no room for the warning that unsigned CBC needs.
        expect(whole.length - size).toBeLessThan(100);
      } else expect([name, octets, whole.length]).toEqual([name, octets, size]);
      expect([name, octets, pieces.equals(whole)]).toEqual([name, octets, true]);
      if (name === 'clear-signed') expect(whole.equals(mail)).toBe(true);
      else expect(whole.toString('latin1')).toContain('view=opened');
    }
  });
});

describe('content that IMAP cannot carry as it is', () => {
  const entity = (content: string | Buffer, type = 'text/plain', encoding = '8bit'): Buffer =>
    Buffer.concat([
      crlf(`Content-Type: ${type}\nContent-Transfer-Encoding: ${encoding}\n\n`),
      typeof content === 'string' ? Buffer.from(content, 'latin1') : content,
    ]);
  const line = 'Ordinary words in an ordinary line, seventy characters or so of them.\n';
  const CASES: [string, () => Buffer, 'same' | 'longer'][] = [
    ['LF line ends', () => entity(line.repeat(1_000)), 'same'],
    ['8bit text', () => entity('Gr\xfc\xdfe\r\n'.repeat(3_000)), 'same'],
    ['NUL in text', () => entity(`a\0b\r\n${line.repeat(100)}`), 'same'],
    ['a line of 100,000 octets', () => entity('x'.repeat(100_000)), 'same'],
    ['lines of 998 and 999 octets', () => entity(`${'x'.repeat(998)}\r\n${'y'.repeat(999)}\r\n`), 'same'],
    ['binary of 200 KB', () => entity(Buffer.alloc(200_000, 0xe9), 'image/x-raw', 'binary'), 'same'],
    ['no header at all', () => Buffer.from('just words, no header\r\n'), 'same'],
    ['nothing at all', () => Buffer.alloc(0), 'same'],
    // One line for our readers, which becomes Base64.
    ['only CR, 50,000 of them', () => entity('\r'.repeat(50_000)), 'same'],
    // Two octets for one, and Base64 only makes four of three.
    ['only LF, 50,000 of them', () => entity('\n'.repeat(50_000)), 'longer'],
    ['one character to a line, LF', () => entity('x\n'.repeat(20_000)), 'longer'],
  ];

  it.each(CASES)('%s', async (_, make, expected) => {
    const mail = mailOf(HEADER, await encrypted(make(), rsa(), { cipher: 'aes-256-gcm' }));
    const { size, whole, pieces } = await measure(mail);
    expect(size).toBe(mail.length);
    expect(pieces.equals(whole)).toBe(true);
    if (expected === 'same') expect(whole.length).toBe(size);
    else expect(whole.length).toBeGreaterThan(size);
  });
});

describe('notices instead of content', () => {
  it.each<[string, () => Promise<Buffer>, 'same' | 'longer']>([
    [
      'damaged, large',
      async () => damaged(await encrypted(text(5_000), rsa(), { cipher: 'aes-256-gcm' })),
      'same',
    ],
    // The words, and the mail itself as an attachment, are added to what is there.
    ['encrypted to somebody else', () => encrypted(text(500), [system.user('alice').identity]), 'longer'],
  ])('%s', async (_, make, expected) => {
    const { size, whole, pieces } = await measure(mailOf(HEADER, await make()));
    expect(pieces.equals(whole)).toBe(true);
    if (expected === 'same') expect(whole.length).toBe(size);
    else {
      expect(whole.length).toBeGreaterThan(size);
      expect(whole.length - size).toBeLessThan(1_500);
    }
  });
});

function damaged(entity: Buffer): Buffer {
  const octets = Buffer.from(entity);
  const at = octets.length - 200;
  octets[at] = octets[at] === 0x41 ? 0x42 : 0x41;
  return octets;
}
