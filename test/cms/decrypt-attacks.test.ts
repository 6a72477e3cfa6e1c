import { createCipheriv, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as der from '../../src/asn1/writer.ts';
import { algorithmIdentifier } from '../../src/cms/algorithm-identifier.ts';
import { attribute } from '../../src/cms/attributes.ts';
import { contentInfo } from '../../src/cms/content-info.ts';
import type { DecryptOutcome } from '../../src/cms/decrypt.ts';
import { decryptStream } from '../../src/cms/decrypt-stream.ts';
import { encrypt } from '../../src/cms/encrypt.ts';
import { peekRecipients, readEnvelopedData } from '../../src/cms/enveloped-data.ts';
import { issuerAndSerial } from '../../src/cms/identifiers.ts';
import { transportKey } from '../../src/cms/key-transport.ts';
import type { DecryptionKey } from '../../src/cms/keys.ts';
import { attributeTypes, contentTypes } from '../../src/cms/oids.ts';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { decrypt } from './support/both-ways.ts';
import { type Identity, IdentityFolder } from './support/identities.ts';
import { decryptionKey } from './support/software-keys.ts';
import { CountedSpool, inChunks } from './support/streams.ts';

const content = Buffer.from('Content-Type: text/plain\r\n\r\nThe secret.\r\n');
const AES256_CBC = '2.16.840.1.101.3.4.1.42';
const AES256_GCM = '2.16.840.1.101.3.4.1.46';
const malformed = expect.objectContaining({ code: 'cms.malformed' });

let at: IdentityFolder;
let alice: Identity;
let bob: Identity;
let carol: Identity;
let aliceKey: DecryptionKey;
let carolKey: DecryptionKey;

beforeAll(() => {
  at = new IdentityFolder();
  alice = at.issue('alice', 'rsa');
  bob = at.issue('bob', 'rsa');
  carol = at.issue('carol', 'P-256');
  aliceKey = decryptionKey(alice.privateKey, alice.certificate);
  carolKey = decryptionKey(carol.privateKey, carol.certificate);
});
afterAll(() => at.remove());

type Parts = {
  /** RecipientInfos; by default one for Alice with `key`. */
  recipientInfos?: readonly Buffer[];
  key?: Buffer;
  algorithm: Buffer;
  ciphertext: Buffer;
  /** null: EnvelopedData. */
  mac: Buffer | null;
  authAttrs?: readonly Buffer[];
  unauthenticated?: Buffer;
};

function forAlice(key: Buffer, name: 'rsa-pkcs1' | 'rsa-oaep' = 'rsa-pkcs1'): Buffer {
  const { algorithm, encryptedKey } = transportKey(name, alice.certificate, key);
  return withEncryptedKey(algorithm, encryptedKey);
}

function withEncryptedKey(algorithm: Buffer, encryptedKey: Buffer): Buffer {
  const identifier = issuerAndSerial(alice.certificate);
  return der.sequence(der.integer(0), identifier, algorithm, der.octetString(encryptedKey));
}

function craft(parts: Parts): Buffer {
  const infos = parts.recipientInfos ?? [forAlice(parts.key ?? Buffer.alloc(32))];
  const info = der.sequence(
    der.oid(contentTypes.data),
    parts.algorithm,
    der.implicitPrimitive(0, parts.ciphertext),
  );
  const head = [der.integer(0), der.setOf(infos), info];
  const tail = parts.unauthenticated === undefined ? [] : [parts.unauthenticated];
  if (parts.mac === null) return contentInfo(contentTypes.envelopedData, der.sequence(...head, ...tail));
  const authAttrs = parts.authAttrs === undefined ? [] : [der.implicitConstructed(1, ...parts.authAttrs)];
  const body = der.sequence(...head, ...authAttrs, der.octetString(parts.mac), ...tail);
  return contentInfo(contentTypes.authEnvelopedData, body);
}

function gcm(
  key: Buffer,
  options: { nonce?: number; tag?: number; icvLength?: number | null; aad?: Buffer } = {},
) {
  const nonce = randomBytes(options.nonce ?? 12);
  const tagOctets = options.tag ?? 16;
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  if (options.aad !== undefined) cipher.setAAD(options.aad);
  const ciphertext = Buffer.concat([cipher.update(content), cipher.final()]);
  const icvLength = options.icvLength === undefined ? tagOctets : options.icvLength;
  const parameters = der.sequence(
    der.octetString(nonce),
    ...(icvLength === null ? [] : [der.integer(icvLength)]),
  );
  return {
    algorithm: algorithmIdentifier(AES256_GCM, parameters),
    ciphertext,
    mac: cipher.getAuthTag().subarray(0, tagOctets),
    nonce,
  };
}

function cbc(key: Buffer, plain: Buffer, padding = true) {
  const iv = randomBytes(16);
  const cipher = createCipheriv('aes-256-cbc', key, iv);
  cipher.setAutoPadding(padding);
  const ciphertext = Buffer.concat([cipher.update(plain), cipher.final()]);
  return { algorithm: algorithmIdentifier(AES256_CBC, der.octetString(iv)), ciphertext, mac: null };
}

const FAILED_CBC = {
  outcome: 'failed',
  algorithm: 'aes256-cbc',
  authenticated: false,
} satisfies DecryptOutcome;
const FAILED_GCM = {
  outcome: 'failed',
  algorithm: 'aes256-gcm',
  authenticated: true,
} satisfies DecryptOutcome;

describe('one failure for everything (RFC 3218)', () => {
  it('wrong padding, wrong length and a foreign ciphertext of the content key look alike', async () => {
    const key = randomBytes(32);
    const pkcs1 = transportKey('rsa-pkcs1', alice.certificate, key).algorithm;
    const encryptedKeys = [
      transportKey('rsa-pkcs1', alice.certificate, randomBytes(32)).encryptedKey,
      transportKey('rsa-pkcs1', alice.certificate, randomBytes(16)).encryptedKey,
      transportKey('rsa-pkcs1', alice.certificate, Buffer.alloc(0)).encryptedKey,
      transportKey('rsa-pkcs1', bob.certificate, key).encryptedKey.fill(0, 0, 1),
      transportKey('rsa-oaep', alice.certificate, key).encryptedKey,
      Buffer.alloc(256),
      Buffer.alloc(255, 1),
      Buffer.alloc(257, 1),
      Buffer.alloc(0),
    ];
    for (const encryptedKey of encryptedKeys) {
      const recipientInfos = [withEncryptedKey(pkcs1, encryptedKey)];
      expect(await decrypt(craft({ recipientInfos, ...gcm(key) }), [aliceKey])).toEqual(FAILED_GCM);
    }
  });

  it('a wrong padding gives the same outcome every time the message is tried', async () => {
    // Under a key of chance about one padding in 256 is right; that must not change from try to try.
    const pkcs1 = transportKey('rsa-pkcs1', alice.certificate, Buffer.alloc(32)).algorithm;
    for (let i = 0; i < 20; i++) {
      const recipientInfos = [withEncryptedKey(pkcs1, Buffer.concat([Buffer.alloc(1), randomBytes(255)]))];
      // A key that throws on wrong padding, as tokens do; node:crypto's own answer is random octets.
      const strict: DecryptionKey = { ...aliceKey, decryptKey: () => Promise.reject(new Error('padding')) };
      const octets = craft({ recipientInfos, ...cbc(randomBytes(32), Buffer.alloc(16), false) });
      const first = await decrypt(octets, [strict]);
      for (let again = 0; again < 5; again++) expect(await decrypt(octets, [strict])).toEqual(first);
    }
  });

  it('a wrong block padding of the content is the same failure', async () => {
    const key = randomBytes(32);
    for (const last of [0, 17, 255]) {
      const plain = Buffer.alloc(32, 0x41);
      plain[31] = last;
      expect(await decrypt(craft({ key, ...cbc(key, plain, false) }), [aliceKey])).toEqual(FAILED_CBC);
    }
    const inconsistent = Buffer.concat([Buffer.alloc(14, 0x41), Buffer.from([3, 2])]);
    const cut = cbc(key, content);
    for (const parts of [
      { ...cbc(key, Buffer.concat([inconsistent.subarray(0, 15), Buffer.from([3])]), false) },
      { ...cut, ciphertext: cut.ciphertext.subarray(0, -1) },
      { ...cut, ciphertext: Buffer.alloc(0) },
      { ...cut, algorithm: algorithmIdentifier(AES256_CBC, der.octetString(Buffer.alloc(15))) },
      { ...cut, algorithm: algorithmIdentifier(AES256_CBC, der.integer(1)) },
      { ...cut, algorithm: algorithmIdentifier(AES256_CBC) },
    ]) {
      expect(await decrypt(craft({ key, ...parts }), [aliceKey])).toEqual(FAILED_CBC);
    }
  });

  it('a key agreement that fails anywhere is the same failure', async () => {
    const octets = await encrypt({
      content,
      algorithm: 'aes256-gcm',
      recipients: [{ certificate: carol.certificate }],
    });
    const [info] = readEnvelopedData(octets).recipientInfos;
    if (info?.kind !== 'key-agreement') throw new Error('no key agreement');
    const targets = [info.encryptedKey, info.originator.publicKey];
    for (const target of targets) {
      for (const place of [0, 1, target.length - 1]) {
        const damaged = Buffer.from(octets);
        const offset = octets.indexOf(target) + place;
        damaged[offset] = (damaged[offset] ?? 0) ^ 1;
        expect(await decrypt(damaged, [carolKey])).toEqual(FAILED_GCM);
      }
    }
  });

  it('an algorithm that is not supported is a failure by its name', async () => {
    const key = randomBytes(16);
    const rc2 = algorithmIdentifier('1.2.840.113549.3.2', der.octetString(Buffer.alloc(8)));
    const outcome = await decrypt(craft({ key, algorithm: rc2, ciphertext: Buffer.alloc(16), mac: null }), [
      aliceKey,
    ]);
    expect(outcome).toEqual({ outcome: 'failed', algorithm: 'rc2-cbc', authenticated: false });
  });
});

describe('AES-GCM (RFC 5084)', () => {
  it.each([12, 13, 14, 15, 16])('a tag of %i octets is read', async (tag) => {
    const key = randomBytes(32);
    const opened = await decrypt(craft({ key, ...gcm(key, { tag }) }), [aliceKey]);
    expect(opened).toMatchObject({
      outcome: 'opened',
      content,
      authenticated: true,
      contentType: contentTypes.data,
    });
  });

  it('without aes-ICVlen the tag has 12 octets', async () => {
    const key = randomBytes(32);
    const opened = await decrypt(craft({ key, ...gcm(key, { tag: 12, icvLength: null }) }), [aliceKey]);
    expect(opened).toMatchObject({ outcome: 'opened', content });
  });

  it('a tag that was cut is refused, also where the parameter was cut with it', async () => {
    const key = randomBytes(32);
    for (const tag of [0, 1, 4, 8, 11]) {
      for (const icvLength of [tag, 12, 16, null]) {
        expect(await decrypt(craft({ key, ...gcm(key, { tag, icvLength }) }), [aliceKey])).toEqual(
          FAILED_GCM,
        );
      }
    }
    const parts = gcm(key);
    for (const mac of [parts.mac.subarray(0, 12), Buffer.concat([parts.mac, Buffer.alloc(1)])]) {
      expect(await decrypt(craft({ key, ...parts, mac }), [aliceKey])).toEqual(FAILED_GCM);
    }
  });

  it('one changed octet of content, tag or nonce gives no content at all', async () => {
    const key = randomBytes(32);
    const parts = gcm(key);
    const octets = craft({ key, ...parts });
    for (const part of [parts.ciphertext, parts.mac, parts.nonce]) {
      const damaged = Buffer.from(octets);
      const offset = octets.indexOf(part);
      damaged[offset] = (damaged[offset] ?? 0) ^ 1;
      expect(await decrypt(damaged, [aliceKey])).toEqual(FAILED_GCM);
    }
  });

  it('nonces out of bounds are refused', async () => {
    const key = randomBytes(32);
    for (const nonce of [1, 7, 65, 128]) {
      expect(await decrypt(craft({ key, ...gcm(key, { nonce }) }), [aliceKey])).toEqual(FAILED_GCM);
    }
    const zero = algorithmIdentifier(
      AES256_GCM,
      der.sequence(der.octetString(Buffer.alloc(0)), der.integer(16)),
    );
    expect(await decrypt(craft({ key, ...gcm(key), algorithm: zero }), [aliceKey])).toEqual(FAILED_GCM);
  });

  it('is read inside EnvelopedData too, with the tag at the end of the content', async () => {
    const key = randomBytes(32);
    const { algorithm, ciphertext, mac } = gcm(key);
    const octets = craft({ key, algorithm, ciphertext: Buffer.concat([ciphertext, mac]), mac: null });
    expect(await decrypt(octets, [aliceKey])).toMatchObject({ outcome: 'opened', content });
    const short = craft({ key, algorithm, ciphertext: mac.subarray(0, 15), mac: null });
    expect(await decrypt(short, [aliceKey])).toEqual(FAILED_GCM);
  });

  it('authenticates authAttrs, in DER order or as sent', async () => {
    const key = randomBytes(32);
    const authAttrs = [
      attribute(attributeTypes.signingTime, der.utcTime(new Date('2026-01-01'))),
      attribute(attributeTypes.contentType, der.oid(contentTypes.data)),
    ];
    for (const aad of [der.setOf(authAttrs), der.element(0x31, ...authAttrs)]) {
      const octets = craft({ key, ...gcm(key, { aad }), authAttrs });
      expect(await decrypt(octets, [aliceKey])).toMatchObject({ outcome: 'opened', content });
    }
    const other = [attribute(attributeTypes.contentType, der.oid(contentTypes.data))];
    expect(
      await decrypt(craft({ key, ...gcm(key, { aad: der.setOf(authAttrs) }), authAttrs: other }), [aliceKey]),
    ).toEqual(FAILED_GCM);
    expect(await decrypt(craft({ key, ...gcm(key, { aad: der.setOf(authAttrs) }) }), [aliceKey])).toEqual(
      FAILED_GCM,
    );
  });

  it('refuses authAttrs that name another content type, or none (RFC 5083 §2.1)', async () => {
    const key = randomBytes(32);
    const wrong = [
      [attribute(attributeTypes.contentType, der.oid(contentTypes.signedData))],
      [attribute(attributeTypes.signingTime, der.utcTime(new Date('2026-01-01')))],
    ];
    for (const authAttrs of wrong) {
      const octets = craft({ key, ...gcm(key, { aad: der.setOf(authAttrs) }), authAttrs });
      expect(await decrypt(octets, [aliceKey])).toEqual(FAILED_GCM);
    }
  });

  it('takes unauthAttrs under [2] and under [1]', async () => {
    const key = randomBytes(32);
    const attributes = [attribute('1.2.3.4', der.integer(1))];
    for (const tag of [1, 2]) {
      const octets = craft({
        key,
        ...gcm(key),
        unauthenticated: der.implicitConstructed(tag, ...attributes),
      });
      expect(await decrypt(octets, [aliceKey])).toMatchObject({ outcome: 'opened', content });
    }
    const unknown = craft({ key, ...gcm(key), unauthenticated: der.implicitConstructed(3, ...attributes) });
    await expect(decrypt(unknown, [aliceKey])).rejects.toThrow(malformed);
  });
});

describe('swapped algorithms', () => {
  it('CBC dressed as AuthEnvelopedData is refused and never called authenticated', async () => {
    const key = randomBytes(32);
    const octets = craft({ key, ...cbc(key, content), mac: Buffer.alloc(16) });
    expect(await decrypt(octets, [aliceKey])).toEqual(FAILED_CBC);
  });

  it('GCM turned into CBC never gives the content, nor claims to be authenticated', async () => {
    const key = randomBytes(32);
    const { ciphertext, nonce } = gcm(key);
    const whole = ciphertext.subarray(0, ciphertext.length - (ciphertext.length % 16));
    const iv = Buffer.concat([nonce, Buffer.from([0, 0, 0, 2])]);
    const algorithm = algorithmIdentifier(AES256_CBC, der.octetString(iv));
    const outcome = await decrypt(craft({ key, algorithm, ciphertext: whole, mac: null }), [aliceKey]);
    expect(outcome.authenticated).toBe(false);
    if (outcome.outcome === 'opened') expect(outcome.content.includes('secret')).toBe(false);
  });

  it('a content key for another algorithm length is refused with OAEP and with key agreement', async () => {
    const short = randomBytes(16);
    const recipientInfos = [forAlice(short, 'rsa-oaep')];
    const key = Buffer.concat([short, short]);
    expect(await decrypt(craft({ recipientInfos, ...gcm(key) }), [aliceKey])).toEqual(FAILED_GCM);
  });
});

describe('keys', () => {
  const away = (): SealgateError =>
    new SealgateError({ code: 'key.unavailable', publicText: 'The token is away.', duration: 'temporary' });
  const unavailable = (key: DecryptionKey): DecryptionKey => ({
    ...key,
    decryptKey: () => Promise.reject(away()),
    agree: () => Promise.reject(away()),
  });
  const refusing = (key: DecryptionKey): DecryptionKey => ({
    ...key,
    decryptKey: () =>
      Promise.reject(new SealgateError({ code: 'key.refused', publicText: 'No.', duration: 'permanent' })),
  });

  it('every key that a RecipientInfo names is tried, and only those', async () => {
    const asked: string[] = [];
    const watched = (key: DecryptionKey, name: string): DecryptionKey => ({
      ...key,
      decryptKey: (scheme, octets) => {
        asked.push(name);
        return key.decryptKey(scheme, octets);
      },
    });
    const wrong = decryptionKey(bob.privateKey, alice.certificate);
    const octets = await encrypt({
      content,
      algorithm: 'aes256-gcm',
      recipients: [{ certificate: alice.certificate }],
    });
    const bobKey = decryptionKey(bob.privateKey, bob.certificate);
    const keys = [watched(bobKey, 'bob'), watched(wrong, 'wrong'), watched(aliceKey, 'alice'), carolKey];
    expect(await decrypt(octets, keys)).toMatchObject({
      outcome: 'opened',
      content,
      recipient: alice.certificate,
    });
    // In a stream and in memory.
    expect(asked).toEqual(['wrong', 'alice', 'wrong', 'alice']);
    expect(await decrypt(octets, [bobKey])).toEqual({
      outcome: 'no-key',
      algorithm: 'aes256-gcm',
      authenticated: true,
    });
    expect(await decrypt(octets, [])).toMatchObject({ outcome: 'no-key' });
  });

  it('a key that is away is reported only if no other one opens the message', async () => {
    const octets = await encrypt({
      content,
      algorithm: 'aes256-gcm',
      recipients: [{ certificate: alice.certificate }, { certificate: carol.certificate }],
    });
    expect(await decrypt(octets, [unavailable(aliceKey), carolKey])).toMatchObject({ outcome: 'opened' });
    expect(await decrypt(octets, [unavailable(carolKey), aliceKey])).toMatchObject({ outcome: 'opened' });
    await expect(decrypt(octets, [unavailable(aliceKey)])).rejects.toMatchObject({ code: 'key.unavailable' });
    await expect(decrypt(octets, [refusing(aliceKey), unavailable(carolKey)])).rejects.toMatchObject({
      code: 'key.unavailable',
    });
  });

  it('a key that refuses the operation is no candidate', async () => {
    const octets = await encrypt({
      content,
      algorithm: 'aes256-cbc',
      recipients: [{ certificate: alice.certificate }],
    });
    expect(await decrypt(octets, [refusing(aliceKey)])).toEqual(FAILED_CBC);
    expect(await decrypt(octets, [refusing(aliceKey), aliceKey])).toMatchObject({ outcome: 'opened' });
  });

  it('a message that names one key a thousand times costs a bounded number of operations', async () => {
    let operations = 0;
    const counting: DecryptionKey = {
      ...aliceKey,
      decryptKey: (scheme, octets) => {
        operations++;
        return aliceKey.decryptKey(scheme, octets);
      },
    };
    const recipientInfos = Array.from({ length: 1_000 }, () => forAlice(randomBytes(32)));
    expect(await decrypt(craft({ recipientInfos, ...gcm(randomBytes(32)) }), [counting])).toEqual(FAILED_GCM);
    // In a stream and in memory.
    expect(operations).toBe(2 * limits.cms.keyOperations);
  });

  it('a large message that names one key a thousand times is not decrypted as often', async () => {
    const recipientInfos = Array.from({ length: 1_000 }, () => forAlice(randomBytes(32)));
    const ciphertext = Buffer.alloc(1024 * 1024);
    const octets = craft({ recipientInfos, ...gcm(randomBytes(32)), ciphertext });
    const spool = new CountedSpool(2 * ciphertext.length);
    const bound = 5 * ciphertext.length;
    const outcome = await decryptStream(inChunks(octets), [aliceKey], spool, {}, bound);
    expect(outcome).toEqual(FAILED_GCM);
    expect(spool.written).toBe(bound);
    // The first attempt is made however large the message is.
    expect(await decryptStream(inChunks(octets), [aliceKey], spool, {}, 1)).toEqual(FAILED_GCM);
    expect(spool.written).toBe(bound + ciphertext.length);
    expect(spool.open).toBe(0);
  });

  it('the curve of an ephemeral key is the recipient certificate’s or the message fails', async () => {
    const octets = await encrypt({
      content,
      algorithm: 'aes256-gcm',
      recipients: [{ certificate: carol.certificate }],
    });
    const enveloped = readEnvelopedData(octets);
    const [info] = enveloped.recipientInfos;
    if (info?.kind !== 'key-agreement') throw new Error('no key agreement');
    const curves = { 'P-256': '1.2.840.10045.3.1.7', 'P-384': '1.3.132.0.34' };
    const craftWith = (curve: string): Buffer => {
      const originator = der.sequence(
        algorithmIdentifier('1.2.840.10045.2.1', der.oid(curve)),
        der.bitString(info.originator.publicKey),
      );
      const encryptedKey = der.sequence(
        issuerAndSerial(carol.certificate),
        der.octetString(info.encryptedKey),
      );
      const body = der.sequence(
        der.integer(3),
        der.explicit(0, der.implicit(1, originator)),
        info.algorithm.raw,
        der.sequence(encryptedKey),
      );
      const { algorithm, ciphertext, mac } = enveloped;
      return craft({ recipientInfos: [der.implicit(1, body)], algorithm: algorithm.raw, ciphertext, mac });
    };
    expect(await decrypt(craftWith(curves['P-256']), [carolKey])).toMatchObject({
      outcome: 'opened',
      content,
    });
    expect(await decrypt(craftWith(curves['P-384']), [carolKey])).toEqual(FAILED_GCM);
  });
});

describe('what a message tells to others', () => {
  it('recipients stand in an order of their own, each once', async () => {
    const recipients = [alice, bob, carol].map(({ certificate }) => ({ certificate }));
    for (const order of [recipients, recipients.toReversed(), [...recipients, ...recipients]]) {
      const octets = await encrypt({ content, algorithm: 'aes128-cbc', recipients: order });
      const enveloped = readEnvelopedData(octets);
      expect(enveloped.recipientInfos).toHaveLength(3);
      expect(peekRecipients(octets)).toHaveLength(3);
    }
  });

  it('RecipientInfos are in DER order, whatever the order of the request', async () => {
    const recipients = [alice, bob, carol].map(({ certificate }) => ({ certificate }));
    const kinds = async (order: typeof recipients): Promise<string[]> => {
      const octets = await encrypt({ content, algorithm: 'aes128-cbc', recipients: order });
      return peekRecipients(octets).map((identifier) =>
        identifier.kind === 'issuer-and-serial' ? identifier.serialNumber.toString('hex') : '',
      );
    };
    expect(await kinds(recipients)).toEqual(await kinds(recipients.toReversed()));
  });

  it('nothing is encrypted for a key that cannot be encrypted for, nor for nobody', async () => {
    const signerOnly = at.issue('signer', 'ed25519').certificate;
    const recipients = [{ certificate: alice.certificate }, { certificate: signerOnly }];
    await expect(encrypt({ content, algorithm: 'aes256-cbc', recipients })).rejects.toMatchObject({
      code: 'cms.unsupported-recipient',
    });
    await expect(encrypt({ content, algorithm: 'aes256-cbc', recipients: [] })).rejects.toMatchObject({
      code: 'cms.unsupported-recipient',
    });
  });

  it('no two messages share a key, a nonce or an ephemeral key', async () => {
    const request = {
      content,
      algorithm: 'aes256-gcm',
      recipients: [{ certificate: carol.certificate }],
    } as const;
    const seen = new Set<string>();
    for (let i = 0; i < 10; i++) {
      const enveloped = readEnvelopedData(await encrypt(request));
      const [info] = enveloped.recipientInfos;
      if (info?.kind !== 'key-agreement') throw new Error('no key agreement');
      for (const part of [enveloped.algorithm.raw, enveloped.ciphertext, info.originator.publicKey]) {
        seen.add(part.toString('hex'));
      }
    }
    expect(seen.size).toBe(30);
  });
});
