import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { contentEncryptionNames } from '../../src/cms/content-encryption.ts';
import { type DecryptOutcome, decrypt } from '../../src/cms/decrypt.ts';
import { decryptStream } from '../../src/cms/decrypt-stream.ts';
import { encrypt } from '../../src/cms/encrypt.ts';
import type { DecryptionKey, SignatureScheme } from '../../src/cms/keys.ts';
import { signDetached, signOpaque } from '../../src/cms/sign.ts';
import { certificatesOf, readSignedData, signerCandidates } from '../../src/cms/signed-data.ts';
import { verifySignature } from '../../src/cms/verify.ts';
import { SealgateError } from '../../src/errors.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { collect } from '../../src/octets/collect.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import {
  ecKey,
  generalName,
  keyUsage,
  makeCertificate,
  makeEnd,
  subjectAltName,
} from '../pki/make-certificate.ts';
import { elementPaths, liesIn } from './support/element-paths.ts';
import { decryptionKey, signingKey } from './support/software-keys.ts';

/**
 * Every octet of a message is changed, one at a time. What a change may leave good is a closed list with reasons; a new
 * place has to be argued for here.
 */

const content = Buffer.from('Content-Type: text/plain\r\n\r\nGood morning.\r\n');

/** The lowest bit; the case of a letter, or primitive to constructed; the highest bit, or a length in another form. */
const ALL_MASKS = [0x01, 0x20, 0x80];

/** Each change, with the element that it is in. */
function* changes(octets: Buffer, masks: readonly number[]): Generator<{ changed: Buffer; path: string }> {
  const paths = elementPaths(octets);
  for (const [offset, path] of paths.entries()) {
    for (const mask of masks) {
      const changed = Buffer.from(octets);
      changed[offset] = (changed[offset] ?? 0) ^ mask;
      yield { changed, path };
    }
  }
}

/** null: cannot be read. */
async function unlessMalformed<T>(read: () => T | Promise<T>): Promise<T | null> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof SealgateError && error.code === 'cms.malformed') return null;
    throw error;
  }
}

function certificateFor(name: string, publicKey: KeyObject): Certificate {
  const key = publicKey.export({ type: 'spki', format: 'der' });
  return makeCertificate({ subject: name, issuer: 'CA', issuerKey: ecKey('CA'), key });
}

describe('a signed message', () => {
  /** Elements in which a change leaves the signature good. */
  const HARMLESS: Readonly<Record<string, string>> = {
    '1.0.0': 'SignedData.version: the forms of what follows say the same',
    '1.0.1': 'digestAlgorithms: a hint for readers of streams; the SignerInfo has its own',
    '1.0.3':
      'certificates: only brought along. A changed one is not the signer’s any more, and no path leads to it; the reader has the true one',
    '1.0.4.0.0': 'SignerInfo.version: the form of sid says the same',
    '1.0.4.0.1.0.0.0.1': 'the issuer’s name in sid: compared without regard to case (RFC 5280 §7.1)',
  };

  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const edwards = generateKeyPairSync('ed25519');
  const signers: readonly [string, KeyObject, Certificate, SignatureScheme][] = [
    [
      'ECDSA',
      ecKey('Alice').privateKey,
      makeEnd('Alice', 'CA', [keyUsage(0), subjectAltName(generalName.mailbox('alice@example.org'))]),
      { kind: 'ecdsa', digest: 'sha256' },
    ],
    ['RSA', rsa.privateKey, certificateFor('Rsa', rsa.publicKey), { kind: 'rsa-pkcs1', digest: 'sha256' }],
    [
      'RSA-PSS',
      rsa.privateKey,
      certificateFor('Rsa', rsa.publicKey),
      { kind: 'rsa-pss', digest: 'sha256', saltOctets: 32 },
    ],
    [
      'Ed25519',
      edwards.privateKey,
      certificateFor('Ed', edwards.publicKey),
      { kind: 'eddsa', curve: 'Ed25519' },
    ],
  ];

  /** Whether the true certificate, or one in the message with the same key, finds a signature good. */
  function isGood(octets: Buffer, detached: Buffer | null, certificate: Certificate): boolean {
    const signedData = readSignedData(octets);
    const over = detached ?? signedData.content;
    if (over === null) return false;
    const known = [certificate, ...certificatesOf(signedData)].filter(({ subjectPublicKeyInfo }) =>
      subjectPublicKeyInfo.equals(certificate.subjectPublicKeyInfo),
    );
    return signedData.signerInfos.some((info) =>
      signerCandidates(info, known).some(
        (candidate) => verifySignature(signedData, info, over, candidate).signature === 'good',
      ),
    );
  }

  it.each(signers)('with %s is good only as it was signed', async (name, privateKey, certificate, scheme) => {
    // The structure is the same for all of them.
    const masks = name === 'ECDSA' ? [0x01, 0x20] : [0x20];
    const signer = signingKey(privateKey, certificate, [scheme]);
    const request = { signer, signingTime: new Date('2026-01-01T00:00:00Z'), capabilities: [], content };
    const opaque = await signOpaque(request);
    const detached = await signDetached(request);
    expect(isGood(opaque, null, certificate)).toBe(true);
    const touched = new Set<string>();
    for (const [octets, beside] of [
      [opaque, null],
      [detached, content],
    ] as const) {
      for (const { changed, path } of changes(octets, masks)) {
        const good = await unlessMalformed(() => isGood(changed, beside, certificate));
        if (good !== true) continue;
        const reason = Object.keys(HARMLESS).find((of) => liesIn(path, of));
        expect(reason, `a change in ${path} is not noticed`).toBeDefined();
        if (reason !== undefined) touched.add(reason);
        // Whatever else was changed, never the content.
        expect(beside ?? readSignedData(changed).content).toEqual(content);
      }
    }
    // The list has no place that is not needed.
    expect([...touched].sort()).toEqual(Object.keys(HARMLESS).sort());
    for (const { changed } of everyOctet(content)) expect(isGood(detached, changed, certificate)).toBe(false);
  });
});

function* everyOctet(octets: Buffer): Generator<{ changed: Buffer }> {
  for (let offset = 0; offset < octets.length; offset++) {
    const changed = Buffer.from(octets);
    changed[offset] = (changed[offset] ?? 0) ^ 0x01;
    yield { changed };
  }
}

describe('an encrypted message', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const kem = generateKeyPairSync('ml-kem-512');
  const bob = makeEnd('Bob', 'CA');
  const keys: Readonly<Record<string, DecryptionKey>> = {
    ECDH: decryptionKey(ecKey('Bob').privateKey, bob),
    RSA: decryptionKey(rsa.privateKey, certificateFor('Rsa', rsa.publicKey)),
    'ML-KEM': decryptionKey(kem.privateKey, certificateFor('Kem', kem.publicKey)),
  };

  /** Elements in which a change leaves the content as it is, by the kind of recipient. */
  const HARMLESS: Readonly<Record<string, readonly string[]>> = {
    // EnvelopedData's and RecipientInfo's version; the issuer's name without regard to case (RFC 5280 §7.1); the type of
    // the content, which nothing covers without authAttrs (RFC 5083 §2.1) and which whoever opens mail looks at.
    ECDH: ['1.0.0', '1.0.1.0.0', '1.0.1.0.3.0.0.0.0.0.1', '1.0.2.0'],
    RSA: ['1.0.0', '1.0.1.0.0', '1.0.1.0.1.0.0.0.1', '1.0.2.0'],
    'ML-KEM': ['1.0.0', '1.0.1.0.1.0', '1.0.1.0.1.1.0.0.0.1', '1.0.2.0'],
  };

  const rows = contentEncryptionNames
    .map((name) => ({ name, recipient: 'ECDH', boundKey: name === 'aes128-gcm' || name === 'aes128-cbc' }))
    .concat(
      (['aes256-gcm', 'aes256-cbc'] as const).flatMap((name) => [
        { name, recipient: 'RSA', boundKey: false },
        { name, recipient: 'ML-KEM', boundKey: false },
      ]),
    );

  it.each(rows)('$name for $recipient, bound key: $boundKey', async ({ name, recipient, boundKey }) => {
    const key = keys[recipient];
    const harmless = HARMLESS[recipient];
    if (key === undefined || harmless === undefined) throw new Error('no such recipient');
    const recipients = [{ certificate: key.certificate }];
    const octets = await encrypt({ content, algorithm: name, recipients, postQuantum: true, boundKey });
    const authenticated = !name.endsWith('cbc');
    for (const { changed, path } of changes(
      octets,
      name === 'aes256-gcm' && recipient === 'ECDH' ? ALL_MASKS : [0x01],
    )) {
      const outcome = await unlessMalformed(() => decrypt(changed, [key]));
      if (outcome === null) continue;
      const isHarmless = harmless.some((of) => liesIn(path, of));
      if (outcome.outcome !== 'opened') {
        expect(outcome).not.toHaveProperty('content');
        // The ciphertext, its parameters and its tag are behind everything that tells whom it is for.
        if (liesIn(path, '1.0.2.2') || liesIn(path, '1.0.3')) expect(outcome.outcome).toBe('failed');
      } else if (authenticated) {
        expect(outcome.authenticated, path).toBe(true);
        expect(outcome.content, path).toEqual(content);
        expect(isHarmless, `a change in ${path} is not noticed`).toBe(true);
      } else {
        // Nothing protects the content, and nothing says that anything does.
        expect(outcome.authenticated).toBe(false);
        // RSA keys that do not open are replaced by one of chance, under which now and then a padding is right (RFC 3218).
        const mayBeNonsense = liesIn(path, '1.0.2') || (recipient === 'RSA' && liesIn(path, '1.0.1'));
        if (!isHarmless) expect(mayBeNonsense, path).toBe(true);
      }
    }
  });

  it('the stream gives the same for each change', async () => {
    const [key] = Object.values(keys);
    if (key === undefined) throw new Error('no key');
    const octets = await encrypt({
      content,
      algorithm: 'aes256-gcm',
      recipients: [{ certificate: key.certificate }],
    });
    const spool = encryptedSpool();
    for (const { changed } of changes(octets, [0x01])) {
      const whole = await unlessMalformed(() => decrypt(changed, [key]));
      const stream = await unlessMalformed(async (): Promise<DecryptOutcome> => {
        const outcome = await decryptStream(bufferSource(changed), [key], spool);
        if (outcome.outcome !== 'opened') return outcome;
        const opened = await collect(outcome.content.read());
        await outcome.content.discard();
        return { ...outcome, content: opened };
      });
      expect(stream).toEqual(whole);
    }
  });
});
