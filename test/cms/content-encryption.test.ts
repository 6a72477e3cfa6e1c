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
  encryptContent,
  openableContent,
} from '../../src/cms/content-encryption.ts';
import { limits } from '../../src/limits.ts';

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
    expect(openable?.open(key)).toBeNull();
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
