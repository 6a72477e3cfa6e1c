import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { readEnvelopedData } from '../../src/cms/enveloped-data.ts';
import type { DecryptionKey } from '../../src/cms/keys.ts';
import { readMessage } from '../../src/mail/entity-tree.ts';
import { decodeBody } from '../../src/mail/transfer-encoding.ts';
import { FAILED_NOTICE } from '../../src/mail-view/notices.ts';
import { viewBoundary, viewNames } from '../../src/mail-view/view-names.ts';
import { encryptMessage } from '../../src/smime/encrypt.ts';
import { openMessage } from '../../src/smime/open.ts';
import { decryptionKey } from '../cms/support/software-keys.ts';
import { rendered } from '../mail-view/support/rendered.ts';
import { ecKey, makeCertificate, makeEnd, now } from '../pki/make-certificate.ts';

/** What a reader is shown of a mail that does not open: the same octets, whatever was wrong (RFC 3218). */

const SECRET = 'the secret wording';
const plain = Buffer.from(
  `From: alice@example.org\r\nTo: bob@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n${`${SECRET}. `.repeat(100)}\r\n`,
);
const names = viewNames('7f3a9c2e', 'gw.example.net');
const boundary = viewBoundary(Buffer.alloc(32, 1), 'bob@example.org', 'imap 7 3 INBOX');

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const rsaCertificate = makeCertificate({
  subject: 'Rsa',
  issuer: 'CA',
  issuerKey: ecKey('CA'),
  key: rsa.publicKey.export({ type: 'spki', format: 'der' }),
});
const bob = makeEnd('Bob', 'CA');
const keys = {
  RSA: decryptionKey(rsa.privateKey, rsaCertificate),
  ECDH: decryptionKey(ecKey('Bob').privateKey, bob),
};
const wrong = {
  RSA: decryptionKey(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, rsaCertificate),
  ECDH: decryptionKey(ecKey('Mallory').privateKey, bob),
};

/** The mail with octets of its CMS object changed; its size stays. */
function damaged(
  mail: Buffer,
  change: (cms: Buffer, parts: Record<'key' | 'content' | 'mac', Buffer>) => void,
): Buffer {
  const message = readMessage(mail);
  const cms = Buffer.from(decodeBody(mail, message.root));
  const { recipientInfos, ciphertext, mac } = readEnvelopedData(cms);
  const [info] = recipientInfos;
  if (info === undefined) throw new Error('no recipient');
  change(cms, { key: info.encryptedKey, content: ciphertext, mac: mac ?? ciphertext });
  const base64 = cms.toString('base64').replace(/.{1,76}/g, '$&\r\n');
  const octets = Buffer.concat([mail.subarray(0, message.root.body.start), Buffer.from(base64, 'latin1')]);
  expect(octets.length).toBe(mail.length);
  return octets;
}

async function shown(octets: Buffer, key: DecryptionKey): Promise<string> {
  const opening = await openMessage(octets, [key], { at: now, anchors: [], pool: [] });
  expect(opening.outcome).toBe('failed');
  expect(opening.entity).toEqual(octets);
  expect(opening.header).toBeNull();
  const { octets: view } = await rendered({
    original: octets,
    outcome: { kind: 'failed', report: opening.report },
    boundary,
    names,
  });
  expect(view.length).toBe(octets.length);
  return view.toString('latin1');
}

function flip(part: Buffer, at: number): void {
  part[at] = (part[at] ?? 0) ^ 1;
}

describe.each(['RSA', 'ECDH'] as const)('a mail for a key with %s', (kind) => {
  it.each(['aes256-gcm', 'aes256-cbc'] as const)('under %s', async (algorithm) => {
    const { certificate } = keys[kind];
    const mail = await encryptMessage(plain, [{ certificate }], algorithm);
    const mails: [string, Buffer, DecryptionKey][] = [
      ['a damaged wrap or padding', damaged(mail, (_, { key }) => flip(key, key.length - 1)), keys[kind]],
      ['an encrypted key of zeros', damaged(mail, (_, { key }) => key.fill(0)), keys[kind]],
      [
        'an encrypted key of chance',
        damaged(mail, (_, { key }) => randomBytes(key.length).copy(key)),
        keys[kind],
      ],
      ['a wrong key', mail, wrong[kind]],
    ];
    if (algorithm === 'aes256-gcm') {
      mails.push(
        ['a damaged tag', damaged(mail, (_, { mac }) => flip(mac, 0)), keys[kind]],
        ['a damaged beginning', damaged(mail, (_, { content }) => flip(content, 0)), keys[kind]],
        ['a damaged end', damaged(mail, (_, { content }) => flip(content, content.length - 1)), keys[kind]],
        [
          'other content',
          damaged(mail, (_, { content }) => randomBytes(content.length).copy(content)),
          keys[kind],
        ],
      );
    } else {
      // Changes only the last octet of the padding: out of its bounds.
      mails.push(['a damaged padding', damaged(mail, (_, { content }) => flipPadding(content)), keys[kind]]);
    }
    const views = new Set<string>();
    for (const [what, octets, key] of mails) {
      // Under a key of chance one padding in 256 is right, and then nonsense opens as nonsense.
      if (algorithm === 'aes256-cbc' && what !== 'a damaged padding') {
        const opening = await openMessage(octets, [key], { at: now, anchors: [], pool: [] });
        if (opening.outcome !== 'failed') {
          expect(opening.entity.includes(SECRET)).toBe(false);
          continue;
        }
      }
      const view = await shown(octets, key);
      expect(view, what).toContain(FAILED_NOTICE);
      expect(view, what).not.toContain(SECRET);
      views.add(view);
    }
    expect(views.size).toBe(1);
  });
});

/** In CBC the block before decides what the padding becomes: its length would be above a block's. */
function flipPadding(content: Buffer): void {
  const at = content.length - 17;
  content[at] = (content[at] ?? 0) ^ 0x80;
}
