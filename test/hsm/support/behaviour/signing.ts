import { constants, createHash, type KeyObject, randomBytes, verify } from 'node:crypto';
import { expect, test } from 'vitest';
import type { DigestName, SignatureScheme, SigningKey } from '../../../../src/cms/keys.ts';
import { unreachable } from '../../../../src/errors.ts';
import { includesScheme } from '../../../../src/hsm/signature-schemes.ts';
import { parseCertificate } from '../../../../src/pki/certificate.ts';
import type { KeyKind, KeyUnderTest } from '../key-under-test.ts';
import { codeOf, present } from '../refusal.ts';

const DIGESTS: readonly DigestName[] = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512'];
const SALTS = { sha1: 20, sha224: 28, sha256: 32, sha384: 48, sha512: 64 } as const;

/** Whatever anybody may ask for. */
const ALL: readonly SignatureScheme[] = [
  ...DIGESTS.map((digest) => ({ kind: 'rsa-pkcs1', digest }) as const),
  ...DIGESTS.map((digest) => ({ kind: 'rsa-pss', digest, saltOctets: SALTS[digest] }) as const),
  { kind: 'rsa-pss', digest: 'sha256', saltOctets: 0 },
  ...DIGESTS.map((digest) => ({ kind: 'ecdsa', digest }) as const),
  { kind: 'eddsa', curve: 'Ed25519' },
  { kind: 'eddsa', curve: 'Ed448' },
  { kind: 'ml-dsa', parameterSet: 'ML-DSA-44' },
];

export function signing(kind: KeyKind, get: () => KeyUnderTest): void {
  test('every scheme it tells works, and OpenSSL agrees; every other is refused', async () => {
    const { place, description, inToken } = get();
    const { publicKey } = parseCertificate(Buffer.from(description.certificate));
    const data = randomBytes(333);
    for (const scheme of ALL) {
      const inputs =
        'digest' in scheme
          ? ([
              ['message', data],
              ['digest', createHash(scheme.digest).update(data).digest()],
            ] as const)
          : ([['message', data]] as const);
      for (const [input, octets] of inputs) {
        const signed = place.perform({ kind: 'sign', key: description.key, scheme, input, data: octets });
        const told = includesScheme(description.schemes, scheme) && (input === 'message' || inToken);
        if (!told) {
          expect([scheme, await codeOf(signed)]).toEqual([scheme, ['key.refused', 'permanent']]);
          continue;
        }
        expect([scheme, verifies(publicKey, scheme, data, await signed)]).toEqual([scheme, true]);
      }
    }
  });

  test('signs a message of a megabyte and an empty one', async () => {
    const key = signingKey(get());
    if (key === null) return;
    const scheme = present(key.schemes[0]);
    // EdDSA hashes twice, so that a token is sent the whole message.
    const long = 'digest' in scheme ? 1024 * 1024 : 20_000;
    for (const data of [randomBytes(long), Buffer.alloc(0)]) {
      const signature = await key.sign(scheme, data);
      expect(verifies(key.certificate.publicKey, scheme, data, signature)).toBe(true);
    }
  });

  test('signs many messages at once, each its own', async () => {
    const key = signingKey(get());
    if (key === null) return;
    const scheme = present(key.schemes[0]);
    const messages = Array.from({ length: 24 }, (_, i) => Buffer.from(`message ${i}`));
    const signatures = await Promise.all(messages.map((message) => key.sign(scheme, message)));
    for (const [i, signature] of signatures.entries()) {
      const message = present(messages[i]);
      expect(verifies(key.certificate.publicKey, scheme, message, signature)).toBe(true);
    }
  });

  test('the gateway’s side refuses a scheme that is not told', async () => {
    const key = signingKey(get());
    if (key === null) return;
    const untold: SignatureScheme[] = [
      { kind: 'rsa-pkcs1', digest: 'sha1' },
      { kind: 'ecdsa', digest: 'sha1' },
      kind === 'rsa' ? { kind: 'ecdsa', digest: 'sha256' } : { kind: 'rsa-pkcs1', digest: 'sha256' },
    ];
    for (const scheme of untold) {
      expect(await codeOf(key.sign(scheme, Buffer.from('x')))).toEqual(['key.refused', 'permanent']);
    }
  });
}

/** null where no scheme is told: then the gateway's side has no key to sign with. */
function signingKey({ description, signing }: KeyUnderTest): SigningKey | null {
  if (description.schemes.length > 0) return present(signing);
  expect(signing).toBeNull();
  return null;
}

/** By OpenSSL, as node:crypto has it; what the product says of a signature is not asked. */
function verifies(key: KeyObject, scheme: SignatureScheme, data: Buffer, signature: Buffer): boolean {
  switch (scheme.kind) {
    case 'rsa-pkcs1':
      return verify(scheme.digest, data, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
    case 'rsa-pss': {
      const padding = constants.RSA_PKCS1_PSS_PADDING;
      return verify(scheme.digest, data, { key, padding, saltLength: scheme.saltOctets }, signature);
    }
    case 'ecdsa':
      return verify(scheme.digest, data, { key, dsaEncoding: 'der' }, signature);
    case 'eddsa':
    case 'ml-dsa':
      return verify(null, data, key, signature);
    default:
      return unreachable(scheme);
  }
}
