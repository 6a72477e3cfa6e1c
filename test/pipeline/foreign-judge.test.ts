import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { encrypt } from '../../src/cms/encrypt.ts';
import { limits } from '../../src/limits.ts';
import { encodeBase64 } from '../../src/mail/transfer-encoding.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { keyFit } from '../../src/pipeline/key-fit.ts';
import type { Keyring } from '../../src/pipeline/ports.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { ecKey, generalName, makeCertificate, subjectAltName } from '../pki/make-certificate.ts';
import { principalNamed } from '../support/principal.ts';
import { type LoadedKey, SoftwareKeys } from '../support/software-keys.ts';

const ALICE = 'alice@example.org';
const software = new SoftwareKeys();
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
let serial = 100;

function holder(label: string): LoadedKey {
  const extensions = [subjectAltName(generalName.mailbox(ALICE))];
  const certificate = makeCertificate({
    subject: label,
    issuer: 'CA',
    issuerKey: ecKey('ca'),
    key: rsa,
    serial: serial++,
    extensions,
  });
  return { label, certificate, chain: [], privateKey: rsa.privateKey };
}

const mine = holder('mine');
const others = holder('others');

function judge(unseen: string | null = null) {
  const keyring: Pick<Keyring, 'decryptionKeys' | 'unseen'> = {
    decryptionKeys: async () => [software.decryptionKey(mine) ?? []].flat(),
    unseen: () => unseen,
  };
  return keyFit(keyring as Keyring);
}

const OCTETS = limits.view.peekedOctets;

async function judged(body: Buffer, encoding = 'base64', by = judge()) {
  return by.judge(principalNamed(ALICE), {
    header: Buffer.from(
      `Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n`,
    ),
    body: body.subarray(0, OCTETS),
    whole: body.length < OCTETS,
  });
}

async function cms(
  certificates: readonly Certificate[],
  octets = 20_000,
  algorithm: 'aes256-gcm' | 'aes128-cbc' = 'aes256-gcm',
) {
  const recipients = certificates.map((certificate) => ({ certificate }));
  return encrypt({ content: randomBytes(octets), recipients, algorithm });
}

test.each([['aes256-gcm' as const], ['aes128-cbc' as const]])(
  '%s in every encoding, long and short',
  async (algorithm) => {
    for (const octets of [0, 100, 20_000]) {
      const forMe = await cms([others.certificate, mine.certificate], octets, algorithm);
      const forOthers = await cms([others.certificate], octets, algorithm);
      expect(await judged(encodeBase64(forMe))).toBe('may-open');
      expect(await judged(encodeBase64(forOthers))).toBe('for-others');
      for (const encoding of ['binary', '8bit', '7bit']) {
        expect(await judged(forMe, encoding)).toBe('may-open');
        expect(await judged(forOthers, encoding)).toBe('for-others');
      }
      expect(await judged(quotedPrintable(forOthers), 'quoted-printable')).toBe('for-others');
    }
  },
);

test('whoever is named behind the first octets may be anybody', async () => {
  const many = Array.from({ length: 40 }, (_, at) => holder(`other ${at}`).certificate);
  expect(await judged(encodeBase64(await cms(many)))).toBe('may-open');
  expect(await judged(encodeBase64(await cms([...many, mine.certificate])))).toBe('may-open');
});

test('what is no encrypted message, damaged or cut may be anything', async () => {
  const forOthers = await cms([others.certificate]);
  const text = encodeBase64(forOthers);
  expect(await judged(Buffer.from('no base64 at all: @'))).toBe('may-open');
  expect(await judged(text, 'x-unheard-of')).toBe('may-open');
  expect(await judged(Buffer.alloc(0))).toBe('may-open');
  expect(await judged(Buffer.alloc(9_000), 'binary')).toBe('may-open');
  const end = (text.toString('latin1').indexOf('\r\n') + 2) * 4;
  for (let at = 0; at < end; at++) expect(await judged(text.subarray(0, at))).toBe('may-open');
});

test('attack: whatever octet is changed, what the whole message says is not contradicted', async () => {
  const forMe = await cms([mine.certificate], 100);
  const header = 'Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary\r\n\r\n';
  for (let at = 0; at < forMe.length; at++) {
    const changed = Buffer.from(forMe);
    changed[at] = (changed[at] ?? 0) ^ 0xff;
    if ((await judged(changed, 'binary')) === 'may-open') continue;
    const message = bufferSource(Buffer.concat([Buffer.from(header), changed]));
    expect(await judge().fits(principalNamed(ALICE), message)).toBe(false);
  }
});

test('a token that was never there may hold the key', async () => {
  const forOthers = encodeBase64(await cms([others.certificate]));
  expect(await judged(forOthers, 'base64', judge('Insert the card once.'))).toBe('may-open');
});

function quotedPrintable(octets: Buffer): Buffer {
  const characters = [...octets].map((octet) => `=${octet.toString(16).toUpperCase().padStart(2, '0')}`);
  return Buffer.from(characters.join('').replace(/.{72}/g, '$&=\r\n'), 'latin1');
}
