import { constants, sign } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readWhole } from '../../src/asn1/reader.ts';
import * as der from '../../src/asn1/writer.ts';
import { algorithmIdentifier, readAlgorithmIdentifier } from '../../src/cms/algorithm-identifier.ts';
import { contentDigest, digestAlgorithm, digestName } from '../../src/cms/digests.ts';
import { signatureAlgorithm } from '../../src/cms/signatures.ts';
import { readSignedData, type SignedData, type SignerInfo } from '../../src/cms/signed-data.ts';
import { verifySignature } from '../../src/cms/verify.ts';
import { type Identity, IdentityFolder } from './support/identities.ts';

const read = (octets: Buffer) => contentDigest(readAlgorithmIdentifier(readWhole(octets, 'DER')));

const shake256 = '2.16.840.1.101.3.4.2.12';
const shake256Length = '2.16.840.1.101.3.4.2.18';

describe('SHAKE256, the digest that goes with Ed448', () => {
  it('is written with its length of 512 bits (RFC 8419 §3.1)', () => {
    expect(digestAlgorithm('shake256')).toEqual(algorithmIdentifier(shake256Length, der.integer(512)));
  });

  it('is read with that length, and without parameters, as signatures without attributes have it', () => {
    expect(read(digestAlgorithm('shake256'))).toBe('shake256');
    expect(read(algorithmIdentifier(shake256))).toBe('shake256');
  });

  it.each([
    ['another length', algorithmIdentifier(shake256Length, der.integer(256))],
    ['a negative length', algorithmIdentifier(shake256Length, der.integer(-512))],
    ['no length', algorithmIdentifier(shake256Length)],
    ['NULL for a length', algorithmIdentifier(shake256Length, der.nullValue())],
    ['a text for a length', algorithmIdentifier(shake256Length, der.utf8String('512'))],
    ['a length where none belongs', algorithmIdentifier(shake256, der.integer(512))],
  ])('is not taken for it with %s', (_, octets) => {
    expect(read(octets)).toBeNull();
  });
});

describe('SHA-3 (RFC 9688), which we verify and never write', () => {
  let at: IdentityFolder;
  let alice: Identity;

  beforeAll(() => {
    at = new IdentityFolder();
    alice = at.issue('alice', 'rsa');
  });
  afterAll(() => at.remove());

  const content = Buffer.from('Content-Type: text/plain\r\n\r\nHello\r\n');
  const signed = (...options: readonly string[]): SignedData =>
    readSignedData(
      at.openssl(
        ...['cms', '-sign', '-binary', '-nodetach', '-outform', 'DER', '-in', at.file('content', content)],
        ...['-signer', alice.certificateFile, '-inkey', alice.keyFile],
        ...options,
      ),
    );
  const only = ({ signerInfos }: SignedData): SignerInfo => {
    const [signerInfo] = signerInfos;
    if (signerInfo === undefined) throw new Error('no signer');
    return signerInfo;
  };

  it.each(['sha3-224', 'sha3-256', 'sha3-384', 'sha3-512'])("openssl's %s with RSA", (digest) => {
    for (const form of [[], ['-noattr']]) {
      const message = signed('-md', digest, ...form);
      const report = verifySignature(message, only(message), content, alice.certificate);
      expect(report).toMatchObject({ signature: 'good', algorithm: `rsa-pkcs1-${digest}` });
      const changed = verifySignature(message, only(message), content.subarray(1), alice.certificate);
      expect(changed.signature).toBe('bad');
    }
  });

  it('is verified in PSS, which openssl 3.0 does not write with it', () => {
    const pss = { kind: 'rsa-pss', digest: 'sha3-256', maskDigest: 'sha3-256', saltOctets: 32 } as const;
    const settings = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
    const message = signed('-md', 'sha3-256', '-noattr');
    const signerInfo = {
      ...only(message),
      signatureAlgorithm: readAlgorithmIdentifier(readWhole(signatureAlgorithm(pss, 'sha3-256'), 'DER')),
      signature: sign('sha3-256', content, { key: alice.privateKey, ...settings }),
    };
    const report = verifySignature(message, signerInfo, content, alice.certificate);
    expect(report).toMatchObject({ signature: 'good', algorithm: 'rsa-pss-sha3-256' });
    const changed = verifySignature(message, signerInfo, content.subarray(1), alice.certificate);
    expect(changed.signature).toBe('bad');
  });

  it('is not mixed with SHA-2: the two identifiers of a signature must agree', () => {
    const message = signed('-md', 'sha3-256');
    const digestAlgorithmOfSha2 = readAlgorithmIdentifier(readWhole(digestAlgorithm('sha256'), 'DER'));
    const withSha3 = readAlgorithmIdentifier(
      readWhole(algorithmIdentifier('2.16.840.1.101.3.4.3.14', der.nullValue()), 'DER'),
    );
    const mixed = {
      ...only(message),
      digestAlgorithm: digestAlgorithmOfSha2,
      signatureAlgorithm: withSha3,
    };
    expect(verifySignature(message, mixed, content, alice.certificate)).toMatchObject({ signature: 'bad' });
  });

  it('does not serve key transport', () => {
    expect(digestName(readAlgorithmIdentifier(readWhole(digestAlgorithm('sha3-256'), 'DER')))).toBeNull();
  });
});
