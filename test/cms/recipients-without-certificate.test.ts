import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as der from '../../src/asn1/writer.ts';
import { algorithmIdentifier } from '../../src/cms/algorithm-identifier.ts';
import { contentInfo } from '../../src/cms/content-info.ts';
import type { DecryptOutcome, SharedSecrets } from '../../src/cms/decrypt.ts';
import { encrypt } from '../../src/cms/encrypt.ts';
import { peekRecipients, readEnvelopedData } from '../../src/cms/enveloped-data.ts';
import { contentTypes } from '../../src/cms/oids.ts';
import { keyUnderPassword, passwordRecipientInfo } from '../../src/cms/password-recipient.ts';
import type { PasswordInfo } from '../../src/cms/recipient-infos.ts';
import { limits } from '../../src/limits.ts';
import { decrypt } from './support/both-ways.ts';
import { encryptContent } from './support/encrypted-content.ts';
import { IdentityFolder } from './support/identities.ts';
import { decryptionKey } from './support/software-keys.ts';

/** Recipients without a certificate: keys that were handed over before, and passwords. */

const content = Buffer.from('Content-Type: text/plain\r\n\r\nGood morning.\r\n');
const identifier = Buffer.from('6b31', 'hex');
const password = Buffer.from('correct horse');

let at: IdentityFolder;
beforeAll(() => {
  at = new IdentityFolder();
});
afterAll(() => at.remove());

const open = (octets: Buffer, secrets: SharedSecrets): Promise<DecryptOutcome> =>
  decrypt(octets, [], secrets);
const opensslEncrypts = (...options: readonly string[]): Buffer =>
  at.openssl(
    ...['cms', '-encrypt', '-binary', '-outform', 'DER', '-in', at.file('content', content)],
    ...options,
  );
const opensslDecrypts = (octets: Buffer, ...options: readonly string[]): Buffer => {
  const input = ['-inform', 'DER', '-in', at.file('encrypted', octets), '-out', at.path('out')];
  at.openssl('cms', '-decrypt', '-binary', ...input, ...options);
  return readFileSync(at.path('out'));
};

describe('a shared key (RFC 5652 §6.2.3)', () => {
  it.each([16, 24, 32])('of %d octets works with openssl in both directions', async (octets) => {
    const key = randomBytes(octets);
    const named = ['-secretkey', key.toString('hex'), '-secretkeyid', identifier.toString('hex')];
    for (const algorithm of ['aes-128-cbc', 'aes-256-gcm']) {
      const theirs = opensslEncrypts(`-${algorithm}`, ...named);
      expect(await open(theirs, { sharedKeys: [{ identifier, key }] })).toMatchObject({
        outcome: 'opened',
        content,
        recipient: null,
      });
    }
    const secrets = [{ kind: 'shared-key', identifier, key }] as const;
    for (const algorithm of ['aes256-cbc', 'aes128-gcm'] as const) {
      const ours = await encrypt({ content, algorithm, recipients: [], secrets });
      expect(opensslDecrypts(ours, ...named)).toEqual(content);
    }
  });

  it('is tried by its name alone, and only with its own length', async () => {
    const key = randomBytes(16);
    const secrets = [{ kind: 'shared-key', identifier, key }] as const;
    const octets = await encrypt({ content, algorithm: 'aes256-gcm', recipients: [], secrets });
    const other = Buffer.from('6b32', 'hex');
    const failed = { outcome: 'failed', algorithm: 'aes256-gcm', authenticated: true };
    expect(await open(octets, { sharedKeys: [{ identifier: other, key }] })).toMatchObject({
      outcome: 'no-key',
    });
    expect(await open(octets, {})).toMatchObject({ outcome: 'no-key' });
    expect(await open(octets, { sharedKeys: [{ identifier, key: randomBytes(16) }] })).toEqual(failed);
    expect(await open(octets, { sharedKeys: [{ identifier, key: Buffer.concat([key, key]) }] })).toEqual(
      failed,
    );
    expect(peekRecipients(octets)).toEqual([]);
  });

  it('of a length that AES does not have encrypts nothing', async () => {
    const secrets = [{ kind: 'shared-key', identifier, key: randomBytes(8) }] as const;
    await expect(
      encrypt({ content, algorithm: 'aes256-gcm', recipients: [], secrets }),
    ).rejects.toMatchObject({ code: 'cms.unsupported-recipient' });
  });
});

describe('a password (RFC 3211)', () => {
  const named = ['-pwri_password', password.toString()];

  it('works with openssl in both directions', async () => {
    for (const algorithm of ['aes-128-cbc', 'aes-256-cbc', 'des-ede3-cbc']) {
      const octets = opensslEncrypts(`-${algorithm}`, ...named);
      expect(await open(octets, { passwords: [Buffer.from('wrong'), password] })).toMatchObject({
        outcome: 'opened',
        content,
        recipient: null,
      });
    }
    const secrets = [{ kind: 'password', password }] as const;
    for (const algorithm of ['aes256-cbc', 'aes128-gcm', 'aes192-cbc'] as const) {
      const octets = await encrypt({ content, algorithm, recipients: [], secrets });
      expect(opensslDecrypts(octets, ...named)).toEqual(content);
    }
  });

  it('stands beside recipients with certificates', async () => {
    const bob = at.issue('bob', 'P-256');
    const secrets = [
      { kind: 'password', password },
      { kind: 'shared-key', identifier, key: randomBytes(32) },
    ] as const;
    const recipients = [{ certificate: bob.certificate }];
    const octets = await encrypt({ content, algorithm: 'aes256-gcm', recipients, secrets });
    const key = decryptionKey(bob.privateKey, bob.certificate);
    expect(await decrypt(octets, [key])).toMatchObject({ outcome: 'opened', recipient: bob.certificate });
    expect(await open(octets, { passwords: [password] })).toMatchObject({ outcome: 'opened' });
    expect(await open(octets, { passwords: [Buffer.from('wrong')] })).toMatchObject({ outcome: 'failed' });
    expect(await decrypt(octets, [])).toMatchObject({ outcome: 'no-key' });
  });

  it('is not needed to see that it is another one', async () => {
    const octets = opensslEncrypts('-aes-128-cbc', ...named);
    const failed = { outcome: 'failed', algorithm: 'aes128-cbc', authenticated: false };
    expect(await open(octets, { passwords: [Buffer.alloc(0), Buffer.from('x')] })).toEqual(failed);
  });
});

/** EnvelopedData under a password with parts as wished. */
function crafted(parts: {
  derivation?: Buffer | null;
  algorithm?: Buffer;
  encryptedKey?: Buffer;
  infos?: number;
}): Buffer {
  const encrypted = encryptContent('aes128-cbc', content);
  const info = der.sequence(
    der.integer(0),
    ...(parts.derivation === null ? [] : [der.implicit(0, parts.derivation ?? pbkdf2(1_000))]),
    parts.algorithm ?? pwri('2.16.840.1.101.3.4.1.2', der.octetString(Buffer.alloc(16))),
    der.octetString(parts.encryptedKey ?? Buffer.alloc(32)),
  );
  const infos = Array(parts.infos ?? 1).fill(der.implicit(3, info));
  const inner = der.sequence(
    der.oid(contentTypes.data),
    encrypted.algorithm,
    der.implicitPrimitive(0, encrypted.ciphertext),
  );
  return contentInfo(
    contentTypes.envelopedData,
    der.sequence(der.integer(3), der.element(0x31, ...infos), inner),
  );
}

function pbkdf2(rounds: number | bigint, salt: Buffer = Buffer.alloc(8), ...rest: Buffer[]): Buffer {
  const parameters = der.sequence(der.octetString(salt), der.integer(rounds), ...rest);
  return algorithmIdentifier('1.2.840.113549.1.5.12', parameters);
}

function pwri(cipher: string, parameters: Buffer): Buffer {
  return algorithmIdentifier('1.2.840.113549.1.9.16.3.9', algorithmIdentifier(cipher, parameters));
}

describe('what a stranger asks of whoever has a password', () => {
  const failed = { outcome: 'failed', algorithm: 'aes128-cbc', authenticated: false };
  const iv = der.octetString(Buffer.alloc(16));
  const aes128 = '2.16.840.1.101.3.4.1.2';

  it.each<[string, Parameters<typeof crafted>[0]]>([
    ['more rounds than one message may ask for', { derivation: pbkdf2(limits.cms.passwordIterations + 1) }],
    ['rounds beyond every number', { derivation: pbkdf2(2n ** 200n) }],
    ['no rounds', { derivation: pbkdf2(0) }],
    ['rounds below nothing', { derivation: pbkdf2(-1) }],
    ['a salt of a megabyte', { derivation: pbkdf2(1, Buffer.alloc(1_000_000)) }],
    ['a key of another length', { derivation: pbkdf2(1, Buffer.alloc(8), der.integer(32)) }],
    ['an unknown function', { derivation: pbkdf2(1, Buffer.alloc(8), algorithmIdentifier('1.2.3')) }],
    ['another derivation', { derivation: algorithmIdentifier('1.2.3', der.sequence()) }],
    ['a derivation without parameters', { derivation: algorithmIdentifier('1.2.840.113549.1.5.12') }],
    ['no derivation', { derivation: null }],
    ['an unknown cipher', { algorithm: pwri('1.2.3', iv) }],
    ['a cipher that is not CBC', { algorithm: pwri('2.16.840.1.101.3.4.1.6', iv) }],
    ['a short IV', { algorithm: pwri(aes128, der.octetString(Buffer.alloc(8))) }],
    ['plain key wrap', { algorithm: algorithmIdentifier('2.16.840.1.101.3.4.1.5') }],
    ['no cipher', { algorithm: algorithmIdentifier('1.2.840.113549.1.9.16.3.9') }],
    ['one block', { encryptedKey: Buffer.alloc(16) }],
    ['no key', { encryptedKey: Buffer.alloc(0) }],
    ['part of a block', { encryptedKey: Buffer.alloc(33) }],
    ['a very long key', { encryptedKey: Buffer.alloc(4_096) }],
  ])('%s: no content, and no reason', async (_, parts) => {
    expect(await open(crafted(parts), { passwords: [password] })).toEqual(failed);
  });

  it('all its recipients and passwords together are held to one bound', async () => {
    const readInfo = (rounds: number): PasswordInfo => {
      const [info] = readEnvelopedData(crafted({ derivation: pbkdf2(rounds) })).recipientInfos;
      if (info?.kind !== 'password') throw new Error('no PasswordRecipientInfo');
      return info;
    };
    const left = { rounds: 1_500 };
    for (const [rounds, then] of [
      [1_000, 500],
      [501, 500],
      [limits.cms.passwordIterations, 500],
      [500, 0],
      [1, 0],
    ] as const) {
      expect(await keyUnderPassword(readInfo(rounds), password, left)).toBeNull();
      expect(left).toEqual({ rounds: then });
    }
    const most = crafted({ derivation: pbkdf2(limits.cms.passwordIterations), infos: 200 });
    expect(await open(most, { passwords: [password, Buffer.from('other')] })).toEqual(failed);
  });

  it('any damage gives an outcome or cms.malformed, and never other content under a tag', async () => {
    const sharedKey = randomBytes(16);
    const key = randomBytes(16);
    const encrypted = encryptContent('aes128-gcm', content);
    const forPassword = await passwordRecipientInfo(password, encrypted.key, 10);
    const forKey = await encrypt({
      content,
      algorithm: 'aes128-gcm',
      recipients: [],
      secrets: [{ kind: 'shared-key', identifier, key: sharedKey }],
    });
    const whole = contentInfo(
      contentTypes.authEnvelopedData,
      der.sequence(
        der.integer(0),
        der.setOf([der.implicit(3, forPassword)]),
        der.sequence(
          der.oid(contentTypes.data),
          encrypted.algorithm,
          der.implicitPrimitive(0, encrypted.ciphertext),
        ),
        der.octetString(encrypted.mac ?? key),
      ),
    );
    const secrets = { passwords: [password], sharedKeys: [{ identifier, key: sharedKey }] };
    expect(await open(whole, secrets)).toMatchObject({ outcome: 'opened', content });
    const run = async (which: boolean, place: number, value: number): Promise<void> => {
      const octets = Buffer.from(which ? whole : forKey);
      octets[place % octets.length] = value;
      try {
        const outcome = await open(octets, secrets);
        if (outcome.outcome === 'opened' && outcome.authenticated) expect(outcome.content).toEqual(content);
      } catch (error) {
        expect(error).toMatchObject({ code: 'cms.malformed' });
      }
    };
    await fc.assert(fc.asyncProperty(fc.boolean(), fc.nat(), fc.nat(255), run), { numRuns: 600 });
  });
});
