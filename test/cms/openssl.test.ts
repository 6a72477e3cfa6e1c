import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownCapabilities } from '../../src/cms/capabilities.ts';
import type { ContentEncryptionName } from '../../src/cms/content-encryption.ts';
import { encrypt } from '../../src/cms/encrypt.ts';
import type { SignatureScheme } from '../../src/cms/keys.ts';
import { signDetached, signOpaque } from '../../src/cms/sign.ts';
import { certificatesOf, readSignedData, signerCandidates } from '../../src/cms/signed-data.ts';
import { verifySignature } from '../../src/cms/verify.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { decrypt } from './support/both-ways.ts';
import { type Identity, IdentityFolder, type KeyKind } from './support/identities.ts';
import { decryptionKey, signingKey } from './support/software-keys.ts';

const content = Buffer.from('Content-Type: text/plain\r\n\r\nGood morning.\r\n'.repeat(40));
const signingTime = new Date('2026-11-05T10:20:30Z');

let at: IdentityFolder;
const identities = new Map<KeyKind, Identity>();
const identity = (kind: KeyKind): Identity => {
  const known = identities.get(kind) ?? at.issue(kind.toLowerCase(), kind);
  identities.set(kind, known);
  return known;
};

beforeAll(() => {
  at = new IdentityFolder();
});
afterAll(() => at.remove());

const signatures: readonly {
  name: string;
  kind: KeyKind;
  scheme: SignatureScheme;
  options?: readonly string[];
}[] = [
  { name: 'rsa-pkcs1-sha256', kind: 'rsa', scheme: { kind: 'rsa-pkcs1', digest: 'sha256' } },
  {
    name: 'rsa-pkcs1-sha512',
    kind: 'rsa',
    scheme: { kind: 'rsa-pkcs1', digest: 'sha512' },
    options: ['-md', 'sha512'],
  },
  {
    name: 'rsa-pkcs1-sha1',
    kind: 'rsa',
    scheme: { kind: 'rsa-pkcs1', digest: 'sha1' },
    options: ['-md', 'sha1'],
  },
  {
    name: 'rsa-pss-sha256',
    kind: 'rsa',
    scheme: { kind: 'rsa-pss', digest: 'sha256', saltOctets: 32 },
    options: ['-keyopt', 'rsa_padding_mode:pss'],
  },
  {
    name: 'rsa-pss-sha384',
    kind: 'rsa',
    scheme: { kind: 'rsa-pss', digest: 'sha384', saltOctets: 20 },
    options: ['-md', 'sha384', '-keyopt', 'rsa_padding_mode:pss', '-keyopt', 'rsa_pss_saltlen:20'],
  },
  { name: 'ecdsa-sha256', kind: 'P-256', scheme: { kind: 'ecdsa', digest: 'sha256' } },
  {
    name: 'ecdsa-sha384',
    kind: 'P-384',
    scheme: { kind: 'ecdsa', digest: 'sha384' },
    options: ['-md', 'sha384'],
  },
  {
    name: 'ecdsa-sha512',
    kind: 'P-521',
    scheme: { kind: 'ecdsa', digest: 'sha512' },
    options: ['-md', 'sha512'],
  },
  { name: 'ecdsa-sha256', kind: 'brainpoolP256r1', scheme: { kind: 'ecdsa', digest: 'sha256' } },
];

describe('signatures, both ways', () => {
  it.each(signatures)(
    'openssl verifies our $name with a $kind key, detached and opaque',
    async ({ kind, scheme }) => {
      const who = identity(kind);
      const signer = signingKey(who.privateKey, who.certificate, [scheme]);
      const request = { signer, signingTime, capabilities: ownCapabilities, content };
      const verify = ['cms', '-verify', '-inform', 'DER', '-binary', '-CAfile', at.authority.certificateFile];
      const out = at.path('out');

      const detached = at.file('detached', await signDetached(request));
      at.openssl(...verify, '-in', detached, '-content', at.file('content', content), '-out', out);
      expect(readFileSync(out)).toEqual(content);

      const opaque = at.file('opaque', await signOpaque(request));
      at.openssl(...verify, '-in', opaque, '-out', out);
      expect(readFileSync(out)).toEqual(content);

      const other = at.file('other', Buffer.concat([content, Buffer.from('x')]));
      expect(() => at.openssl(...verify, '-in', detached, '-content', other, '-out', out)).toThrow();
    },
  );

  it.each(signatures)("we verify openssl's $name with a $kind key", ({ name, kind, options = [] }) => {
    const who = identity(kind);
    const sign = ['cms', '-sign', '-binary', '-outform', 'DER', '-in', at.file('content', content)];
    for (const form of [
      ['-nodetach'],
      ['-nodetach', '-keyid'],
      [],
      ['-cades'],
      ['-noattr'],
      ['-nodetach', '-stream'],
    ]) {
      // OpenSSL 3.0 cannot write PSS while streaming.
      if (name.startsWith('rsa-pss') && form.includes('-stream')) continue;
      const signer = ['-signer', who.certificateFile, '-inkey', who.keyFile];
      const octets = at.openssl(...sign, ...signer, ...options, ...form);
      const signedData = readSignedData(octets);
      expect(signedData.content).toEqual(form.includes('-nodetach') ? content : null);
      const [signerInfo] = signedData.signerInfos;
      if (signerInfo === undefined) throw new Error('no signer');
      const [certificate] = signerCandidates(signerInfo, certificatesOf(signedData));
      expect(certificate?.fingerprint).toBe(who.certificate.fingerprint);
      const good = verifySignature(signedData, signerInfo, content, who.certificate);
      expect(good).toMatchObject({ signature: 'good', algorithm: name });
      const bad = verifySignature(signedData, signerInfo, content.subarray(1), who.certificate);
      expect(bad.signature).toBe('bad');
    }
  });
});

describe('signatures that are only read', () => {
  const verified = (octets: Buffer, certificate: Certificate, signedContent = content) => {
    const signedData = readSignedData(octets);
    const [signerInfo] = signedData.signerInfos;
    if (signerInfo === undefined) throw new Error('no signer');
    return verifySignature(signedData, signerInfo, signedContent, certificate);
  };

  it.each([
    ['sha256', 'sha1', '20'],
    ['sha512', 'sha256', '64'],
    ['sha1', 'sha256', '20'],
  ])('PSS with %s, and %s in its mask function', (md, mask, salt) => {
    const who = identity('rsa');
    const options = ['-md', md, '-keyopt', 'rsa_padding_mode:pss', '-keyopt', `rsa_mgf1_md:${mask}`];
    const octets = at.openssl(
      ...['cms', '-sign', '-binary', '-nodetach', '-outform', 'DER', '-in', at.file('content', content)],
      ...['-signer', who.certificateFile, '-inkey', who.keyFile],
      ...options,
      ...['-keyopt', `rsa_pss_saltlen:${salt}`],
    );
    expect(verified(octets, who.certificate)).toMatchObject({
      signature: 'good',
      algorithm: `rsa-pss-${md}`,
    });
    expect(verified(octets, who.certificate, content.subarray(1)).signature).toBe('bad');
    expect(verified(octets, identity('P-256').certificate).signature).toBe('bad');
  });

  it.each(['sha1', 'sha224', 'sha256'])('DSA with %s', (md) => {
    const [parameters, key, certificate] = ['dsa.params', 'dsa.key', 'dsa.crt'].map((name) => at.path(name));
    if (parameters === undefined || key === undefined || certificate === undefined) throw new Error('names');
    const size = ['-pkeyopt', 'dsa_paramgen_bits:1024', '-pkeyopt', 'dsa_paramgen_q_bits:160'];
    if (!existsSync(certificate)) {
      at.openssl('genpkey', '-genparam', '-algorithm', 'DSA', ...size, '-out', parameters);
      at.openssl('genpkey', '-paramfile', parameters, '-out', key);
      at.openssl('req', '-x509', '-key', key, '-subj', '/CN=Dora', '-sha256', '-out', certificate);
    }
    for (const form of [[], ['-noattr']]) {
      const octets = at.openssl(
        ...['cms', '-sign', '-binary', '-nodetach', '-outform', 'DER', '-in', at.file('content', content)],
        ...['-signer', certificate, '-inkey', key, '-md', md],
        ...form,
      );
      const [dora] = certificatesOf(readSignedData(octets));
      if (dora === undefined) throw new Error('no certificate');
      expect(verified(octets, dora)).toMatchObject({ signature: 'good', algorithm: `dsa-${md}` });
      expect(verified(octets, dora, content.subarray(1)).signature).toBe('bad');
    }
  });
});

const transports = ['rsa-pkcs1', 'rsa-oaep'] as const;
const algorithms: readonly ContentEncryptionName[] = [
  'aes128-cbc',
  'aes192-cbc',
  'aes256-cbc',
  'aes128-gcm',
  'aes192-gcm',
  'aes256-gcm',
];
const curves: readonly KeyKind[] = ['P-256', 'P-384', 'P-521', 'brainpoolP256r1'];

describe('encryption, both ways', () => {
  const opensslDecrypts = (octets: Buffer, who: Identity): Buffer => {
    const input = ['-inform', 'DER', '-in', at.file('encrypted', octets)];
    at.openssl(
      'cms',
      '-decrypt',
      '-binary',
      ...input,
      '-recip',
      who.certificateFile,
      '-inkey',
      who.keyFile,
      '-out',
      at.path('out'),
    );
    return readFileSync(at.path('out'));
  };
  const opensslEncrypts = (algorithm: string, who: Identity, ...options: readonly string[]): Buffer => {
    const input = ['-binary', '-outform', 'DER', '-in', at.file('content', content)];
    return at.openssl(
      'cms',
      '-encrypt',
      `-${algorithm}`,
      ...input,
      '-recip',
      who.certificateFile,
      ...options,
    );
  };

  it.each(algorithms)('openssl opens our %s with RSA, v1.5 and OAEP', async (algorithm) => {
    const who = identity('rsa');
    for (const keyTransport of transports) {
      const octets = await encrypt({
        content,
        algorithm,
        recipients: [{ certificate: who.certificate, keyTransport }],
      });
      expect(opensslDecrypts(octets, who)).toEqual(content);
    }
  });

  it.each(curves)('openssl opens what we encrypt for a %s key', async (kind) => {
    const who = identity(kind);
    for (const algorithm of algorithms) {
      const octets = await encrypt({ content, algorithm, recipients: [{ certificate: who.certificate }] });
      expect(opensslDecrypts(octets, who)).toEqual(content);
    }
  });

  it.each([
    'aes-128-cbc',
    'aes-192-cbc',
    'aes-256-cbc',
    'des-ede3-cbc',
    'aes-128-gcm',
    'aes-192-gcm',
    'aes-256-gcm',
  ])("we open openssl's %s with RSA, v1.5 and OAEP", async (algorithm) => {
    const who = identity('rsa');
    const keys = [decryptionKey(who.privateKey, who.certificate)];
    const oaep = ['-keyopt', 'rsa_padding_mode:oaep'];
    const oaep256 = [...oaep, '-keyopt', 'rsa_oaep_md:sha256'];
    const labelled = [...oaep, '-keyopt', 'rsa_oaep_label:0a0b'];
    for (const options of [[], ['-keyid'], ['-stream'], oaep, oaep256, labelled]) {
      const outcome = await decrypt(opensslEncrypts(algorithm, who, ...options), keys);
      expect(outcome).toMatchObject({ outcome: 'opened', content });
      expect(outcome.authenticated).toBe(algorithm.endsWith('gcm'));
    }
  });

  it.each(['rc2-40-cbc', 'rc2-64-cbc', 'rc2-cbc'])(
    "we read openssl's %s, which is never written",
    async (algorithm) => {
      const who = identity('rsa');
      const key = decryptionKey(who.privateKey, who.certificate);
      const octets = opensslEncrypts(algorithm, who, '-provider', 'legacy', '-provider', 'default');
      const opened = { outcome: 'opened', content, algorithm: 'rc2-cbc', authenticated: false };
      expect(await decrypt(octets, [key])).toMatchObject(opened);
      const damaged = Buffer.from(octets);
      damaged[octets.length - 1] = (damaged[octets.length - 1] ?? 0) ^ 1;
      expect(await decrypt(damaged, [key])).toMatchObject({ outcome: 'failed' });
    },
  );

  it.each(curves)('we open what openssl encrypts for a %s key', async (kind) => {
    const who = identity(kind);
    const keys = [decryptionKey(who.privateKey, who.certificate)];
    const cofactor = ['-keyopt', 'ecdh_cofactor_mode:1'];
    const variants = [
      [],
      ['-keyid'],
      ['-keyopt', 'ecdh_kdf_md:sha1'],
      ['-keyopt', 'ecdh_kdf_md:sha512', ...cofactor],
    ];
    for (const options of variants) {
      for (const algorithm of ['aes-128-cbc', 'aes-256-gcm', 'des-ede3-cbc']) {
        const octets = opensslEncrypts(algorithm, who, ...options);
        expect(await decrypt(octets, keys)).toMatchObject({ outcome: 'opened', content });
      }
    }
  });

  it('one message for recipients with all kinds of keys', async () => {
    const everybody = (['rsa', 'P-256', 'P-384', 'x25519', 'x448'] as const).map(identity);
    const recipients = everybody.map(({ certificate }) => ({ certificate }));
    const octets = await encrypt({ content, algorithm: 'aes256-cbc', recipients });
    for (const who of everybody) {
      const outcome = await decrypt(octets, [decryptionKey(who.privateKey, who.certificate)]);
      expect(outcome).toMatchObject({ outcome: 'opened', content, recipient: who.certificate });
    }
    for (const kind of ['rsa', 'P-256', 'P-384'] as const) {
      expect(opensslDecrypts(octets, identity(kind))).toEqual(content);
    }
  });
});
