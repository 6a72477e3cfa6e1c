import { createCipheriv, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { readWhole } from '../../src/asn1/reader.ts';
import * as der from '../../src/asn1/writer.ts';
import {
  type AlgorithmIdentifier,
  algorithmIdentifier,
  readAlgorithmIdentifier,
} from '../../src/cms/algorithm-identifier.ts';
import {
  authenticates,
  type ContentEncryptionName,
  describeContentEncryption,
} from '../../src/cms/content-encryption.ts';
import { decrypt } from '../../src/cms/decrypt.ts';
import { deriveContentKey } from '../../src/cms/derived-content-key.ts';
import { encrypt } from '../../src/cms/encrypt.ts';
import { openableContent as openableFromShape, openContent } from '../../src/cms/openable-content.ts';
import { limits } from '../../src/limits.ts';
import { encryptContent } from './support/encrypted-content.ts';

const content = Buffer.from('Content-Type: text/plain\r\n\r\nGood morning.\r\n');
const NOTHING = [Buffer.alloc(0)];
const AEAD = ['aes128-ccm', 'aes192-ccm', 'aes256-ccm', 'chacha20-poly1305', 'aes192-gcm'] as const;

const read = (octets: Buffer): AlgorithmIdentifier => readAlgorithmIdentifier(readWhole(octets, 'DER'));

function aesCcm(nonce: Buffer, tagOctets: number | null): AlgorithmIdentifier {
  const length = tagOctets === null ? [] : [der.integer(tagOctets)];
  const parameters = der.sequence(der.octetString(nonce), ...length);
  return read(algorithmIdentifier('2.16.840.1.101.3.4.1.7', parameters));
}

describe.each(AEAD)('%s', (name: ContentEncryptionName) => {
  it('is opened with its key and tag, and every change is noticed', () => {
    const { algorithm, key, ciphertext, mac } = encryptContent(name, content);
    if (mac === null) throw new Error('no tag');
    const identifier = read(algorithm);
    expect(describeContentEncryption(identifier)).toEqual({ name, authenticated: true });
    expect(authenticates(name)).toBe(true);
    const openable = openableContent(identifier, ciphertext, mac, NOTHING);
    expect(openable?.keyOctets).toBe(key.length);
    expect(openable?.open(key)).toEqual(content);
    expect(openable?.open(randomBytes(key.length))).toBeNull();
    for (let i = 0; i < ciphertext.length; i++) {
      const damaged = Buffer.from(ciphertext);
      damaged[i] = (damaged[i] ?? 0) ^ 1;
      expect(openableContent(identifier, damaged, mac, NOTHING)?.open(key)).toBeNull();
    }
    const otherTag = Buffer.from(mac);
    otherTag[0] = (otherTag[0] ?? 0) ^ 1;
    expect(openableContent(identifier, ciphertext, otherTag, NOTHING)?.open(key)).toBeNull();
    expect(openableContent(identifier, ciphertext, mac, [Buffer.from('x')])?.open(key)).toBeNull();
    expect(openableContent(identifier, ciphertext, mac.subarray(0, 12), NOTHING)).toBeNull();
  });

  it('opens content of no octets', () => {
    const { algorithm, key, ciphertext, mac } = encryptContent(name, Buffer.alloc(0));
    expect(ciphertext).toHaveLength(0);
    expect(openableContent(read(algorithm), ciphertext, mac, NOTHING)?.open(key)).toEqual(Buffer.alloc(0));
  });
});

/** Of ciphertext that is all there. */
function openableContent(
  algorithm: AlgorithmIdentifier,
  ciphertext: Buffer,
  mac: Buffer | null,
  associated: readonly Buffer[],
) {
  const shape = { octets: ciphertext.length, end: ciphertext };
  const openable = openableFromShape(algorithm, shape, mac, associated);
  if (openable === null) return null;
  return { ...openable, open: (key: Uint8Array) => openContent(openable, ciphertext, key) };
}

describe('AES-CCM (RFC 5084 §3.1)', () => {
  const key = randomBytes(16);
  const encrypted = (nonce: Buffer, authTagLength: number, associated = Buffer.alloc(0)) => {
    const cipher = createCipheriv('aes-128-ccm', key, nonce, { authTagLength });
    cipher.setAAD(associated, { plaintextLength: content.length });
    const ciphertext = cipher.update(content);
    cipher.final();
    return { ciphertext, tag: cipher.getAuthTag() };
  };

  it('reads every length of nonce, tags of 12 octets by default, and what the tag covers besides', () => {
    for (let octets = 7; octets <= 13; octets++) {
      const nonce = randomBytes(octets);
      for (const tagOctets of [12, 14, 16]) {
        const { ciphertext, tag } = encrypted(nonce, tagOctets, Buffer.from('authAttrs'));
        const identifier = aesCcm(nonce, tagOctets === 12 ? null : tagOctets);
        const covered = [Buffer.from('another encoding'), Buffer.from('authAttrs')];
        expect(openableContent(identifier, ciphertext, tag, covered)?.open(key)).toEqual(content);
      }
    }
  });

  it('a tag short enough to be guessed is not accepted', () => {
    const nonce = randomBytes(12);
    for (const tagOctets of [4, 6, 8, 10]) {
      const { ciphertext, tag } = encrypted(nonce, tagOctets);
      expect(openableContent(aesCcm(nonce, tagOctets), ciphertext, tag, NOTHING)).toBeNull();
    }
  });

  it('lengths that CCM does not have are not supported', () => {
    const tag = Buffer.alloc(13);
    for (const [octets, tagOctets] of [
      [12, 13],
      [6, 16],
      [14, 16],
      [0, 16],
    ] as const) {
      const identifier = aesCcm(Buffer.alloc(octets), tagOctets);
      expect(openableContent(identifier, content, tag.subarray(0, tagOctets), NOTHING)).toBeNull();
    }
  });

  it('content longer than the nonce leaves room to count is damage', () => {
    const openable = openableContent(
      aesCcm(randomBytes(13), 16),
      Buffer.alloc(65_536),
      Buffer.alloc(16),
      NOTHING,
    );
    expect(openable).toBeNull();
  });
});

describe('a content key that is bound to its algorithm (RFC 9709)', () => {
  const cekHkdf = '1.2.840.113549.1.9.16.3.31';

  it.each([
    ['301b0609608648016503040106300e040c5c79058ba2f43447639d29e2', '2124ffb29fac4e0fbbc7d5d87492bff3'],
  ])("is the RFC's (appendix B)", (algorithm, derived) => {
    const key = Buffer.from('c702e7d0a9e064b09ba55245fb733cf3', 'hex');
    expect(deriveContentKey(key, Buffer.from(algorithm, 'hex')).toString('hex')).toBe(derived);
  });

  it.each(['aes128-gcm', 'aes256-cbc', 'chacha20-poly1305', 'aes192-ccm'] as const)(
    'opens %s, and not where the algorithm inside was changed',
    (name) => {
      const { algorithm, key, ciphertext, mac } = encryptContent(name, content, true);
      const outer = read(algorithm);
      expect(outer.oid).toBe(cekHkdf);
      expect(describeContentEncryption(outer)).toEqual({ name, authenticated: authenticates(name) });
      expect(openableContent(outer, ciphertext, mac, NOTHING)?.open(key)).toEqual(content);
      // The same without the outer identifier: the content is under another key.
      if (outer.parameters === null) throw new Error('no algorithm inside');
      const inner = readAlgorithmIdentifier(outer.parameters);
      expect(openableContent(inner, ciphertext, mac, NOTHING)?.open(key) ?? null).not.toEqual(content);
    },
  );

  it('AES-GCM rewritten to AES-CBC, which is how its key is got at, gives nothing of the content', () => {
    const { algorithm, key, ciphertext } = encryptContent('aes128-gcm', Buffer.alloc(64, 'x'), true);
    const outer = read(algorithm);
    const cbc = algorithmIdentifier('2.16.840.1.101.3.4.1.2', der.octetString(Buffer.alloc(16)));
    const rewritten = read(algorithmIdentifier(cekHkdf, cbc));
    const withGcm = openableContent(outer, Buffer.from(ciphertext), Buffer.alloc(16), NOTHING)?.open(key);
    expect(withGcm).toBeNull();
    const opened = openableContent(rewritten, ciphertext, null, NOTHING)?.open(key) ?? Buffer.alloc(0);
    expect(opened.includes('x'.repeat(4))).toBe(false);
  });

  it('inside of itself, without an algorithm or with nonsense is not supported or malformed', () => {
    const inner = algorithmIdentifier('2.16.840.1.101.3.4.1.2', der.octetString(Buffer.alloc(16)));
    const twice = read(algorithmIdentifier(cekHkdf, algorithmIdentifier(cekHkdf, inner)));
    expect(openableContent(twice, Buffer.alloc(16), null, NOTHING)).toBeNull();
    expect(openableContent(read(algorithmIdentifier(cekHkdf)), Buffer.alloc(16), null, NOTHING)).toBeNull();
    const nonsense = read(algorithmIdentifier(cekHkdf, der.integer(1)));
    expect(describeContentEncryption(nonsense)).toEqual({ name: cekHkdf, authenticated: false });
    expect(() => openableContent(nonsense, Buffer.alloc(16), null, NOTHING)).toThrow(
      expect.objectContaining({ code: 'asn1.malformed' }),
    );
  });

  it('serves whole messages, where it is asked for', async () => {
    const key = randomBytes(16);
    const identifier = Buffer.from('k');
    for (const boundKey of [true, false]) {
      const secrets = [{ kind: 'shared-key', identifier, key }] as const;
      const request = { content, algorithm: 'aes256-gcm', recipients: [], secrets, boundKey } as const;
      const octets = await encrypt(request);
      expect(octets.includes(der.oid(cekHkdf))).toBe(boundKey);
      expect(await decrypt(octets, [], { sharedKeys: [{ identifier, key }] })).toMatchObject({
        outcome: 'opened',
        content,
        algorithm: 'aes256-gcm',
        authenticated: true,
      });
    }
  });
});

describe('where an algorithm may stand', () => {
  it('only GCM is tolerated inside EnvelopedData, with its tag at the end of the content', () => {
    for (const name of AEAD) {
      const { algorithm, key, ciphertext, mac } = encryptContent(name, content);
      const joined = Buffer.concat([ciphertext, mac ?? Buffer.alloc(0)]);
      const openable = openableContent(read(algorithm), joined, null, NOTHING);
      if (name === 'aes192-gcm') expect(openable?.open(key)).toEqual(content);
      else expect(openable).toBeNull();
    }
  });

  it('RC2 passes for nothing authenticated, and only as much of it is computed as old mail has', () => {
    const parameters = der.sequence(der.integer(58), der.octetString(randomBytes(8)));
    const rc2 = read(algorithmIdentifier('1.2.840.113549.3.2', parameters));
    expect(describeContentEncryption(rc2)).toEqual({ name: 'rc2-cbc', authenticated: false });
    expect(openableContent(rc2, Buffer.alloc(16), Buffer.alloc(16), NOTHING)).toBeNull();
    expect(openableContent(rc2, Buffer.alloc(limits.cms.rc2Octets + 8), null, NOTHING)).toBeNull();
    expect(openableContent(rc2, Buffer.alloc(12), null, NOTHING)).toBeNull();
    expect(openableContent(rc2, Buffer.alloc(0), null, NOTHING)).toBeNull();
    expect(openableContent(rc2, Buffer.alloc(16), null, NOTHING)?.keyOctets).toBe(16);
    for (const version of [57, 256, 1024, 0]) {
      const other = der.sequence(der.integer(version), der.octetString(randomBytes(8)));
      const identifier = read(algorithmIdentifier('1.2.840.113549.3.2', other));
      expect(openableContent(identifier, Buffer.alloc(16), null, NOTHING)).toBeNull();
    }
  });
});
