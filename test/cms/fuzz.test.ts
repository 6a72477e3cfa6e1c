import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ContentEncryptionName } from '../../src/cms/content-encryption.ts';
import { decrypt } from '../../src/cms/decrypt.ts';
import { encrypt } from '../../src/cms/encrypt.ts';
import { peekRecipients } from '../../src/cms/enveloped-data.ts';
import type { DecryptionKey } from '../../src/cms/keys.ts';
import { signOpaque } from '../../src/cms/sign.ts';
import { certificatesOf, readSignedData } from '../../src/cms/signed-data.ts';
import { verifySignature } from '../../src/cms/verify.ts';
import { SealgateError } from '../../src/errors.ts';
import { ecKey, makeCertificate } from '../pki/make-certificate.ts';
import { type Identity, IdentityFolder } from './support/identities.ts';
import { decryptionKey, signingKey } from './support/software-keys.ts';

/**
 * Damaged messages: a reader gives an outcome or `cms.malformed`, and nothing else; a message that was changed is
 * never good and never opens as something else without saying that nothing authenticated it.
 */

const content = Buffer.from('Content-Type: text/plain\r\n\r\nGood morning.\r\n');
const seeds: Buffer[] = [];
const signed: Buffer[] = [];
const encrypted: Buffer[] = [];
let at: IdentityFolder;
let alice: Identity;
let keys: DecryptionKey[];

beforeAll(async () => {
  at = new IdentityFolder();
  alice = at.issue('alice', 'P-256');
  const bob = at.issue('bob', 'rsa');
  keys = [alice, bob].map((who) => decryptionKey(who.privateKey, who.certificate));
  const signer = signingKey(alice.privateKey, alice.certificate, [{ kind: 'ecdsa', digest: 'sha256' }]);
  const signingTime = new Date('2026-01-01T00:00:00Z');
  signed.push(await signOpaque({ signer, signingTime, capabilities: ['1.2.3'], content }));
  const input = ['-binary', '-outform', 'DER', '-in', at.file('content', content)];
  const by = ['-signer', alice.certificateFile, '-inkey', alice.keyFile];
  signed.push(at.openssl('cms', '-sign', '-nodetach', '-stream', ...input, ...by));
  const recipients = [alice, bob].map(({ certificate }) => ({ certificate }));
  for (const algorithm of ['aes256-cbc', 'aes256-gcm', 'aes128-ccm', 'chacha20-poly1305'] as const) {
    encrypted.push(await encrypt({ content, algorithm, recipients }));
  }
  const { privateKey } = generateKeyPairSync('ml-kem-512');
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const kem = makeCertificate({ subject: 'Bob', issuer: 'CA', issuerKey: ecKey('ca'), key: spki });
  keys.push(decryptionKey(privateKey, kem));
  const postQuantum = [{ certificate: kem }];
  encrypted.push(
    await encrypt({ content, algorithm: 'aes128-gcm', recipients: postQuantum, postQuantum: true }),
    await encrypt({ content, algorithm: 'aes256-gcm', recipients, boundKey: true }),
  );
  const to = [alice, bob].map(({ certificateFile }) => certificateFile);
  encrypted.push(at.openssl('cms', '-encrypt', '-aes-128-cbc', '-stream', ...input, ...to));
  encrypted.push(at.openssl('cms', '-encrypt', '-aes-128-gcm', '-keyid', ...input, ...to));
  seeds.push(...signed, ...encrypted);
});
afterAll(() => at.remove());

const edits = fc.array(
  fc.record({
    place: fc.nat(),
    value: fc.oneof(fc.nat(255), fc.constantFrom(0x30, 0x31, 0x80, 0xa0, 0x04, 0x24, 0, 0xff)),
    kind: fc.constantFrom('replace', 'replace', 'insert', 'remove', 'cut', 'repeat'),
  }),
  { minLength: 1, maxLength: 5 },
);

function damage(octets: Buffer, changes: typeof edits extends fc.Arbitrary<infer T> ? T : never): Buffer {
  let mutated = Buffer.from(octets);
  for (const { place, value, kind } of changes) {
    const offset = place % Math.max(1, mutated.length);
    if (kind === 'replace') mutated[offset] = value;
    else if (kind === 'cut') mutated = mutated.subarray(0, offset);
    else {
      const head = mutated.subarray(0, offset);
      if (kind === 'insert') mutated = Buffer.concat([head, Buffer.from([value]), mutated.subarray(offset)]);
      else if (kind === 'remove') mutated = Buffer.concat([head, mutated.subarray(offset + 1)]);
      else
        mutated = Buffer.concat([head, mutated.subarray(offset, offset + value), mutated.subarray(offset)]);
    }
  }
  return mutated;
}

function guarded<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealgateError && error.code === 'cms.malformed') return null;
    throw error;
  }
}

async function exercise(octets: Buffer): Promise<void> {
  guarded(() => peekRecipients(octets));
  const signedData = guarded(() => readSignedData(octets));
  if (signedData !== null) {
    certificatesOf(signedData);
    for (const signerInfo of signedData.signerInfos) {
      const report = verifySignature(
        signedData,
        signerInfo,
        signedData.content ?? content,
        alice.certificate,
      );
      // Whatever was damaged, a good signature is one over this content.
      if (report.signature === 'good') expect(signedData.content ?? content).toEqual(content);
    }
  }
  try {
    const outcome = await decrypt(octets, keys);
    if (outcome.outcome === 'opened' && outcome.authenticated) expect(outcome.content).toEqual(content);
  } catch (error) {
    if (!(error instanceof SealgateError) || error.code !== 'cms.malformed') throw error;
  }
}

describe('any content', () => {
  it('comes back from every algorithm, for every kind of key', async () => {
    const recipients = keys.map(({ certificate }) => ({ certificate }));
    const request = { recipients, postQuantum: true };
    const algorithm = fc.constantFrom<ContentEncryptionName>(
      'aes128-cbc',
      'aes192-cbc',
      'aes256-cbc',
      'aes128-gcm',
      'aes192-gcm',
      'aes256-gcm',
      'aes128-ccm',
      'aes192-ccm',
      'aes256-ccm',
      'chacha20-poly1305',
    );
    const run = async (octets: Uint8Array, name: ContentEncryptionName, boundKey: boolean): Promise<void> => {
      const encryptedOctets = await encrypt({ ...request, content: octets, algorithm: name, boundKey });
      for (const key of keys) {
        const outcome = await decrypt(encryptedOctets, [key]);
        expect(outcome).toMatchObject({ outcome: 'opened', algorithm: name, content: Buffer.from(octets) });
      }
    };
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), algorithm, fc.boolean(), run), {
      numRuns: 60,
    });
  });
});

describe('damaged messages', () => {
  it('give an outcome or cms.malformed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), edits, (which, changes) =>
        exercise(damage(seeds[which % seeds.length] ?? content, changes)),
      ),
      { numRuns: 1_500 },
    );
  });

  it('random octets too', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), (octets) => exercise(Buffer.from(octets))),
      { numRuns: 500 },
    );
  });

  it('cut off anywhere they are malformed', () => {
    for (const octets of signed) {
      for (let length = 0; length < octets.length; length += 7) {
        expect(() => readSignedData(octets.subarray(0, length))).toThrow(
          expect.objectContaining({ code: 'cms.malformed' }),
        );
      }
    }
  });

  it('every octet of a signature of ours matters, or says nothing', async () => {
    const [octets] = signed;
    if (octets === undefined) throw new Error('no message');
    for (let offset = 0; offset < octets.length; offset++) {
      const mutated = Buffer.from(octets);
      mutated[offset] = (mutated[offset] ?? 0) ^ 0x01;
      await exercise(mutated);
    }
  });
});
