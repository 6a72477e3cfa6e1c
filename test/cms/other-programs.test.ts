import { execFileSync } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownCapabilities } from '../../src/cms/capabilities.ts';
import type { ContentEncryptionName } from '../../src/cms/content-encryption.ts';
import { encrypt } from '../../src/cms/encrypt.ts';
import { peekRecipients } from '../../src/cms/enveloped-data.ts';
import type { SignatureScheme } from '../../src/cms/keys.ts';
import { signDetached, signOpaque } from '../../src/cms/sign.ts';
import { certificatesOf, readSignedData, signerCandidates } from '../../src/cms/signed-data.ts';
import { type VerificationReport, verifySignature } from '../../src/cms/verify.ts';
import { requireCommand } from '../support/require-command.ts';
import { decrypt } from './support/both-ways.ts';
import { type Identity, IdentityFolder } from './support/identities.ts';
import { decryptionKey, signingKey } from './support/software-keys.ts';

const content = Buffer.from('Content-Type: text/plain\r\n\r\nGood morning.\r\n'.repeat(30));
const signingTime = new Date();
const PASSWORD = 'throw-away';

let at: IdentityFolder;
let alice: Identity;
let carol: Identity;

beforeAll(async () => {
  at = new IdentityFolder();
  alice = at.issue('alice', 'rsa');
  carol = at.issue('carol', 'P-256');
  await Promise.all((['gpgsm', 'gpgconf', 'cmsutil', 'certutil', 'pk12util'] as const).map(requireCommand));
});
afterAll(() => at.remove());

function pkcs12(who: Identity): string {
  const out = at.path(`${who.name}.p12`);
  const input = [
    '-inkey',
    who.keyFile,
    '-in',
    who.certificateFile,
    '-certfile',
    at.authority.certificateFile,
  ];
  // The older algorithms: gpgsm 2.2 reads no others.
  const algorithms = ['-keypbe', 'PBE-SHA1-3DES', '-certpbe', 'PBE-SHA1-3DES', '-macalg', 'sha1'];
  at.openssl(
    'pkcs12',
    '-export',
    '-name',
    who.name,
    ...input,
    ...algorithms,
    '-passout',
    `pass:${PASSWORD}`,
    '-out',
    out,
  );
  return out;
}

function verifyWith(octets: Buffer, signed: Buffer | null, who: Identity): VerificationReport {
  const signedData = readSignedData(octets);
  const [signerInfo] = signedData.signerInfos;
  if (signerInfo === undefined) throw new Error('no signer');
  const candidates = signerCandidates(signerInfo, certificatesOf(signedData));
  expect(candidates.map(({ fingerprint }) => fingerprint)).toContain(who.certificate.fingerprint);
  return verifySignature(
    signedData,
    signerInfo,
    signed ?? signedData.content ?? Buffer.alloc(0),
    who.certificate,
  );
}

const schemes: Record<'alice' | 'carol', readonly SignatureScheme[]> = {
  alice: [
    { kind: 'rsa-pkcs1', digest: 'sha256' },
    { kind: 'rsa-pkcs1', digest: 'sha512' },
  ],
  carol: [{ kind: 'ecdsa', digest: 'sha256' }],
};

/**
 * A private key as gpg-agent keeps it: a canonical S-expression. gpgsm 2.2 crashes on PKCS#12 with EC keys and refuses
 * some with RSA keys.
 */
function agentKey(key: KeyObject): Buffer {
  const jwk = key.export({ format: 'jwk' });
  const atom = (octets: Buffer): Buffer => Buffer.concat([Buffer.from(`${octets.length}:`), octets]);
  const list = (...parts: readonly Buffer[]): Buffer =>
    Buffer.concat([Buffer.from('('), ...parts, Buffer.from(')')]);
  const word = (text: string): Buffer => atom(Buffer.from(text));
  const octets = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64url');
  // Numbers are signed: a leading zero keeps them positive.
  const number = (name: string, value: Buffer): Buffer =>
    list(word(name), atom(Buffer.concat([Buffer.alloc(1), value])));
  if (jwk.kty === 'RSA') {
    // libgcrypt wants u = 1/p mod q, JWK has qi = 1/q mod p: the primes change places.
    const numbers = { n: jwk.n, e: jwk.e, d: jwk.d, p: jwk.q, q: jwk.p, u: jwk.qi };
    const fields = Object.entries(numbers).map(([name, value]) => number(name, octets(value)));
    return list(word('private-key'), list(word('rsa'), ...fields));
  }
  const point = Buffer.concat([Buffer.from([4]), octets(jwk.x), octets(jwk.y)]);
  const curve = list(word('curve'), word('NIST P-256'));
  return list(
    word('private-key'),
    list(word('ecc'), curve, list(word('q'), atom(point)), number('d', octets(jwk.d))),
  );
}

describe('gpgsm', () => {
  let home: string;
  const gpgsm = (...args: readonly string[]): Buffer => {
    const quiet = ['--batch', '--disable-crl-checks', '--no-common-certs-import'];
    return execFileSync('gpgsm', ['--homedir', home, ...quiet, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  };

  beforeAll(() => {
    home = at.path('gnupg');
    mkdirSync(home, { mode: 0o700 });
    chmodSync(home, 0o700);
    writeFileSync(`${home}/gpg-agent.conf`, 'no-allow-mark-trusted\n');
    mkdirSync(`${home}/private-keys-v1.d`, { mode: 0o700 });
    for (const who of [alice, carol]) {
      gpgsm('--import', who.certificateFile);
      const listing = gpgsm('--with-colons', '--with-keygrip', '--list-keys', `${who.name}@example.org`);
      const grip = /^grp:+([0-9A-F]{40}):/m.exec(listing.toString())?.[1];
      if (grip === undefined) throw new Error('gpgsm names no keygrip');
      writeFileSync(`${home}/private-keys-v1.d/${grip}.key`, agentKey(who.privateKey), { mode: 0o600 });
    }
    const fingerprint = at
      .openssl('x509', '-in', at.authority.certificateFile, '-noout', '-fingerprint', '-sha1')
      .toString()
      .replace(/^.*=/, '')
      .trim();
    writeFileSync(`${home}/trustlist.txt`, `${fingerprint} S relax\n`);
  });
  afterAll(() => {
    execFileSync('gpgconf', ['--homedir', home, '--kill', 'all'], { stdio: 'ignore' });
  });

  it.each(['alice', 'carol'] as const)('verifies what %s signs here, detached and opaque', async (name) => {
    const who = name === 'alice' ? alice : carol;
    const signer = signingKey(who.privateKey, who.certificate, schemes[name], [at.authority.certificate]);
    for (const scheme of schemes[name]) {
      const request = { signer, scheme, signingTime, capabilities: ownCapabilities, content };
      const detached = at.file('gpgsm.p7s', await signDetached(request));
      gpgsm('--verify', detached, at.file('gpgsm.content', content));
      expect(() => gpgsm('--verify', detached, at.file('gpgsm.other', content.subarray(1)))).toThrow();
      const out = at.path('gpgsm.out');
      gpgsm('--yes', '--output', out, '--verify', at.file('gpgsm.p7m', await signOpaque(request)));
      expect(readFileSync(out)).toEqual(content);
    }
  });

  it.each(['alice', 'carol'] as const)('signs as %s and is verified here', (name) => {
    const who = name === 'alice' ? alice : carol;
    const input = at.file('gpgsm.in', content);
    const detached = gpgsm('--local-user', `${name}@example.org`, '--detach-sign', input);
    expect(verifyWith(detached, content, who).signature).toBe('good');
    expect(verifyWith(detached, content.subarray(1), who).signature).toBe('bad');
    const opaque = gpgsm('--local-user', `${name}@example.org`, '--sign', input);
    expect(readSignedData(opaque).content).toEqual(content);
    expect(verifyWith(opaque, null, who).signature).toBe('good');
  });

  // gpgsm 2.2 opens no key agreement of anybody's and fails to write one.
  it.each(['aes128-cbc', 'aes192-cbc', 'aes256-cbc'] as const)(
    'decrypts our %s, also beside an EC recipient',
    async (name) => {
      const recipients = [{ certificate: alice.certificate }, { certificate: carol.certificate }];
      const octets = await encrypt({ content, algorithm: name, recipients });
      expect(gpgsm('--decrypt', at.file('gpgsm.enc', octets))).toEqual(content);
    },
  );

  it.each(['AES128', 'AES192', 'AES256', '3DES'])(
    'encrypts with %s and is decrypted here',
    async (cipher) => {
      const recipient = ['--recipient', 'alice@example.org'];
      const octets = gpgsm('--cipher-algo', cipher, ...recipient, '--encrypt', at.file('gpgsm.in', content));
      const outcome = await decrypt(octets, [decryptionKey(alice.privateKey, alice.certificate)]);
      expect(outcome).toMatchObject({ outcome: 'opened', content, authenticated: false });
    },
  );
});

describe('NSS cmsutil', () => {
  let database: string;
  const run = (program: string, ...args: readonly string[]): Buffer =>
    execFileSync(program, ['-d', `sql:${database}`, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const cmsutil = (...args: readonly string[]): Buffer => run('cmsutil', ...args);

  beforeAll(() => {
    database = at.path('nss');
    mkdirSync(database);
    const password = at.file('nss.password', Buffer.alloc(0));
    const phrase = at.file('nss.phrase', Buffer.from(`${PASSWORD}\n`));
    run('certutil', '-N', '-f', password);
    run('certutil', '-A', '-n', 'authority', '-t', 'CT,CT,CT', '-a', '-i', at.authority.certificateFile);
    for (const who of [alice, carol]) {
      run('pk12util', '-i', pkcs12(who), '-w', phrase, '-k', password);
      run('certutil', '-M', '-n', who.name, '-t', 'P,P,P');
    }
  });

  it.each(['alice', 'carol'] as const)('verifies what %s signs here, detached and opaque', async (name) => {
    const who = name === 'alice' ? alice : carol;
    const signer = signingKey(who.privateKey, who.certificate, schemes[name], [at.authority.certificate]);
    for (const scheme of schemes[name]) {
      const request = { signer, scheme, signingTime, capabilities: ownCapabilities, content };
      const verify = ['-D', '-u', '4', '-i'];
      const opaque = cmsutil(...verify, at.file('nss.p7m', await signOpaque(request)));
      expect(opaque).toEqual(content);
      const detached = at.file('nss.p7s', await signDetached(request));
      expect(cmsutil(...verify, detached, '-c', at.file('nss.content', content))).toEqual(content);
      const other = at.file('nss.other', content.subarray(1));
      expect(() => cmsutil(...verify, detached, '-c', other)).toThrow();
    }
  });

  it.each(['alice', 'carol'] as const)('signs as %s and is verified here', (name) => {
    const who = name === 'alice' ? alice : carol;
    const sign = ['-S', '-N', name, '-H', 'SHA256', '-G', '-P', '-i', at.file('nss.in', content)];
    const opaque = cmsutil(...sign);
    expect(readSignedData(opaque).content).toEqual(content);
    const report = verifyWith(opaque, null, who);
    expect(report.signature).toBe('good');
    expect(report.signedAt).toBeInstanceOf(Date);
    expect(report.capabilities.length).toBeGreaterThan(0);
    expect(verifyWith(cmsutil(...sign, '-T'), content, who).signature).toBe('good');
  });

  const readable: readonly ContentEncryptionName[] = ['aes128-cbc', 'aes192-cbc', 'aes256-cbc'];

  // NSS 3.87 knows no key agreement in CMS, in neither direction and with nobody's messages.
  it.each(readable)('decrypts our %s', async (algorithm) => {
    const octets = await encrypt({ content, algorithm, recipients: [{ certificate: alice.certificate }] });
    expect(cmsutil('-D', '-i', at.file('nss.enc', octets))).toEqual(content);
  });

  it('encrypts and is decrypted here', async () => {
    const octets = cmsutil('-E', '-r', 'alice@example.org', '-i', at.file('nss.in', content));
    expect(peekRecipients(octets)).toHaveLength(1);
    const outcome = await decrypt(octets, [decryptionKey(alice.privateKey, alice.certificate)]);
    expect(outcome).toMatchObject({ outcome: 'opened', content });
  });
});
