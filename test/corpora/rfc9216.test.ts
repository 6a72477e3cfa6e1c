import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { keysOfPkcs12 } from '../../src/hsm/files/pkcs12-key.ts';
import { Secret } from '../../src/log/secret.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { validatePath } from '../../src/pki/path.ts';
import { encryptMessage } from '../../src/smime/encrypt.ts';
import { openMessage } from '../../src/smime/open.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { corpus, corpusCertificate, rfc9216At } from '../pki/corpora.ts';
import { crlf, isVouchedFor, kinds, signaturesOf } from '../smime/support/people.ts';
import { type LoadedKey, SoftwareKeys } from '../support/software-keys.ts';

/** Every file of RFC 9216: two authorities that certify each other, four people with a key for each purpose. */

const PEOPLE = ['alice', 'bob', 'carlos', 'dana'] as const;
type Person = (typeof PEOPLE)[number];
const PURPOSES = ['sign', 'encrypt'] as const;
const AUTHORITY: Record<Person, 'ca-rsa' | 'ca-ed25519'> = {
  alice: 'ca-rsa',
  bob: 'ca-rsa',
  carlos: 'ca-ed25519',
  dana: 'ca-ed25519',
};
/** The certificate for an authority by the other one. */
const CROSS = { 'ca-rsa': 'ca-rsa-cross', 'ca-ed25519': 'ca-ed25519-cross' } as const;
const OTHER = { 'ca-rsa': 'ca-ed25519', 'ca-ed25519': 'ca-rsa' } as const;

const certificate = (name: string): Certificate => corpusCertificate('rfc9216', `${name}.crt`);
const privateKey = (name: string): KeyObject =>
  createPrivateKey(readFileSync(corpus('rfc9216', `${name}.key`)));

const software = new SoftwareKeys();
afterAll(() => software.close());

function loaded(who: Person, purpose: (typeof PURPOSES)[number]): LoadedKey {
  const name = `${who}.${purpose}`;
  return { label: name, certificate: certificate(name), chain: [], privateKey: privateKey(name) };
}

function present<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('missing');
  return value;
}

const everyKey = PEOPLE.flatMap((who) => PURPOSES.map((purpose) => [who, purpose] as const));

describe('the files of RFC 9216', () => {
  it('are these and no others', () => {
    const people = PEOPLE.flatMap((who) => [
      `${who}.p12`,
      ...PURPOSES.flatMap((purpose) => [`${who}.${purpose}.crt`, `${who}.${purpose}.key`]),
    ]);
    const authorities = (['ca-rsa', 'ca-ed25519'] as const).flatMap((name) => [
      `${name}.crt`,
      `${name}.key`,
      `${CROSS[name]}.crt`,
    ]);
    expect(readdirSync(corpus('rfc9216')).sort()).toEqual([...people, ...authorities].sort());
  });

  it.each([...everyKey.map(([who, purpose]) => `${who}.${purpose}`), 'ca-rsa', 'ca-ed25519'])(
    '%s: the certificate is that of the key',
    (name) => {
      expect(certificate(name).publicKey.equals(createPublicKey(privateKey(name)))).toBe(true);
    },
  );

  it.each(['ca-rsa', 'ca-ed25519'] as const)(
    '%s: its cross certificate has the same key and name',
    (name) => {
      const [own, cross] = [certificate(name), certificate(CROSS[name])];
      expect(cross.subjectPublicKeyInfo).toEqual(own.subjectPublicKeyInfo);
      expect(cross.subject.der).toEqual(own.subject.der);
      expect(cross.issuer.der).toEqual(certificate(OTHER[name]).subject.der);
    },
  );
});

describe('paths', () => {
  const path = (name: string, anchor: string, pool: readonly string[]) =>
    validatePath({
      certificate: certificate(name),
      anchors: [certificate(anchor)],
      pool: pool.map(certificate),
      at: rfc9216At,
      purpose: 'email-protection',
    });

  it.each(everyKey)(
    '%s, key to %s: by the own authority, by the other one across, and not without',
    (who, purpose) => {
      const name = `${who}.${purpose}`;
      const own = AUTHORITY[who];
      const direct = path(name, own, []);
      expect(direct.outcome === 'valid' && direct.path.length).toBe(2);
      const across = path(name, OTHER[own], [CROSS[own]]);
      expect(across.outcome === 'valid' && across.path.length).toBe(3);
      expect(path(name, OTHER[own], []).outcome).toBe('invalid');
      expect(path(name, OTHER[own], [own, CROSS[OTHER[own]]]).outcome).toBe('invalid');
    },
  );
});

describe('key files', () => {
  it.each(PEOPLE)('%s: what is in the file is what the others files hold', async (who) => {
    const keys = await keysOfPkcs12(readFileSync(corpus('rfc9216', `${who}.p12`)), new Secret(who), who);
    expect(keys).toHaveLength(2);
    for (const purpose of PURPOSES) {
      const wanted = certificate(`${who}.${purpose}`);
      const found = present(keys.find((key) => key.certificate.fingerprint === wanted.fingerprint));
      expect(found.privateKey.equals(privateKey(`${who}.${purpose}`))).toBe(true);
      // Each has the certificate that leads across to the other authority.
      expect(found.chain.map(({ subject }) => subject.der)).toEqual([
        certificate(AUTHORITY[who]).subject.der,
      ]);
    }
    const wrong = keysOfPkcs12(
      readFileSync(corpus('rfc9216', `${who}.p12`)),
      new Secret(who.toUpperCase()),
      who,
    );
    await expect(wrong).rejects.toMatchObject({ code: 'key.passphrase-incorrect' });
  });
});

describe('mail from everybody to everybody', () => {
  const pairs = PEOPLE.flatMap((from) => PEOPLE.map((to) => [from, to] as const));

  it.each(pairs)('%s to %s: signed, encrypted, opened by nobody else, vouched for', async (from, to) => {
    const message = crlf(`From: ${from}@smime.example\nTo: ${to}@smime.example\nSubject: Hello\n\nHello\n`);
    const signer = present(software.signingKey(loaded(from, 'sign')));
    const signed = await signMessage(message, signer, {
      form: 'clear',
      at: rfc9216At,
      encryptionCertificate: certificate(`${from}.encrypt`),
    });
    const recipient = { certificate: certificate(`${to}.encrypt`) };
    for (const algorithm of ['aes256-gcm', 'aes128-cbc'] as const) {
      const encrypted = await encryptMessage(signed, [recipient], algorithm);
      // The reader trusts his own authority only: the signer's is reached across.
      const anchors = [certificate(AUTHORITY[to])];
      const pool = [certificate('ca-rsa-cross'), certificate('ca-ed25519-cross')];
      const context = { at: rfc9216At, anchors, pool };
      const opening = await openMessage(
        encrypted,
        [present(software.decryptionKey(loaded(to, 'encrypt')))],
        context,
      );
      expect(kinds(opening)).toEqual(['encrypted', 'signed']);
      expect(signaturesOf(opening)).toHaveLength(1);
      expect(isVouchedFor(opening)).toBe(true);
      expect(opening.entity.toString()).toContain('Hello');
      const others = PEOPLE.filter((who) => who !== to).map((who) =>
        present(software.decryptionKey(loaded(who, 'encrypt'))),
      );
      expect((await openMessage(encrypted, others, context)).outcome).toBe('no-key');
    }
  });
});
