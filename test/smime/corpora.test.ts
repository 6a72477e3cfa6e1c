import { createPrivateKey } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { SignatureScheme } from '../../src/cms/keys.ts';
import { encryptMessage } from '../../src/smime/encrypt.ts';
import { openMessage } from '../../src/smime/open.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { decryptionKey, signingKey } from '../cms/support/software-keys.ts';
import { corpus, corpusCertificate, rfc9216At } from '../pki/corpora.ts';
import { crlf, isVouchedFor, kinds, signaturesOf } from './support/people.ts';

describe("gematik's KIM sample", () => {
  const key = () =>
    decryptionKey(
      createPrivateKey(readFileSync(corpus('kim', 'recipient-a', 'hci-enc-2-kim-bsp.prv.pem'))),
      corpusCertificate('kim', 'recipient-a', 'hci-enc-2-kim-bsp.pem'),
    );
  const context = { at: rfc9216At, anchors: [], pool: [] };

  it('opens its AuthEnvelopedData; the signature in it was damaged in the making and is not taken for one', async () => {
    const octets = readFileSync(corpus('kim', 'inputEmail.txt.05.encryptedwrap'));
    const opening = await openMessage(octets, [key()], context);
    expect(opening.report.layers).toMatchObject([
      { kind: 'encrypted', algorithm: 'aes256-gcm', authenticated: true, outcome: 'opened' },
    ]);
    // Whoever wrote the sample turned each CR and LF of the binary part into CRLF.
    expect(opening.outcome).toBe('failed');
    expect(opening.entity).toBe(octets);
  });

  it('opens undamaged: a signature in binary around a message in a message, encrypted', async () => {
    const signed = Buffer.concat([
      Buffer.from(
        'From: mustersender@komle.de\r\nSubject: KOM-LE-Nachricht\r\nDate: Sat, 20 Jun 2020 12:58:26 +0200 (CEST)\r\nTo: steffi@elsewhere.example\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\nContent-Transfer-Encoding: binary\r\n\r\n',
      ),
      readFileSync(corpus('kim', 'inputEmail.txt.02.signedcms')),
    ]);
    const encrypted = await encryptMessage(signed, [key()], 'aes256-gcm');
    const opening = await openMessage(encrypted, [key()], context);
    expect(opening.outcome).toBe('opened');
    expect(kinds(opening)).toEqual(['encrypted', 'signed']);
    expect(signaturesOf(opening)).toMatchObject([
      // The certificate is an institution's and names no mailbox.
      { signature: 'good', algorithm: 'rsa-pss-sha256', speaksFor: 'other', path: { outcome: 'invalid' } },
    ]);
    // The header of the mail as it was written is shown, and its body; the addressee outside was not the author's.
    const written = readFileSync(corpus('kim', 'inputEmail.txt'), 'latin1').replace(/\r?\n/g, '\r\n');
    const body = written.slice(written.indexOf('\r\n\r\n') + 4);
    const fields = (text: string) =>
      text
        .split(/\r?\n/)
        .filter((line) => line !== '')
        .sort();
    expect(fields(String(opening.header))).toEqual(
      fields(written.slice(0, -body.length)).filter((line) => !/^(?:MIME-Version|Content-Type)/.test(line)),
    );
    expect(opening.entity.toString('latin1')).toBe(
      `MIME-Version: 1.0\r\nContent-Type: text/plain; charset=ISO-8859-1\r\n\r\n${body}`,
    );
    expect(opening.report.headerProtection).toMatchObject({
      scheme: 'wrapped',
      signed: true,
      encrypted: true,
      fromMismatch: false,
      shownFrom: 'inside',
      fields: [
        { name: 'from', differs: true },
        { name: 'reply-to', differs: true },
        { name: 'to', differs: true, hidden: false },
        { name: 'subject', differs: false, hidden: true },
        // A day of the week that was wrong is no other date.
        { name: 'date', differs: false, hidden: false },
        { name: 'message-id', differs: true },
      ],
    });
  });
});

describe("gematik's KIM sample under its own header", () => {
  it('differs in nothing but the Subject that is hidden', async () => {
    const sample = readFileSync(corpus('kim', 'inputEmail.txt.05.encryptedwrap'), 'latin1').replace(
      /\r?\n/g,
      '\r\n',
    );
    const outer = sample.slice(0, sample.indexOf('MIME-Version'));
    const type = 'Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n';
    const signed = Buffer.concat([
      Buffer.from(`${outer}${type}Content-Transfer-Encoding: binary\r\n\r\n`),
      readFileSync(corpus('kim', 'inputEmail.txt.02.signedcms')),
    ]);
    const { report, header } = await openMessage(signed, [], { at: rfc9216At, anchors: [], pool: [] });
    expect(String(header)).toContain('Subject: Saying Hello\r\n');
    const { fields = [], fromMismatch } = report.headerProtection ?? {};
    expect(fromMismatch).toBe(false);
    // Signed only, nothing can be meant to be hidden.
    expect(fields.filter(({ differs }) => differs).map(({ name }) => name)).toEqual(['subject']);
  });
});

describe('NIST PKITS mails', () => {
  it('carry good signatures, whatever their paths are worth', async () => {
    const anchor = corpusCertificate('pkits', 'certs', 'TrustAnchorRootCertificate.crt');
    const outcomes = new Map<string, number>();
    const names = readdirSync(corpus('pkits', 'smime')).filter((name) => name.endsWith('.eml'));
    for (const name of names) {
      const octets = readFileSync(corpus('pkits', 'smime', name));
      const opening = await openMessage(octets, [], { at: rfc9216At, anchors: [anchor], pool: [] });
      expect(opening.entity, name).toBe(octets);
      for (const { signature } of signaturesOf(opening)) {
        outcomes.set(signature, (outcomes.get(signature) ?? 0) + 1);
      }
    }
    expect(names.length).toBeGreaterThan(200);
    expect(Object.fromEntries(outcomes)).toEqual(KNOWN_OUTCOMES);
  });
});

/** One certificate is broken on purpose, one DSA key has no parameters of its own. */
const KNOWN_OUTCOMES = { good: 222, 'no-certificate': 1, unsupported: 1 };

describe('RFC 9216 identities', () => {
  const RSA: SignatureScheme = { kind: 'rsa-pkcs1', digest: 'sha256' };
  const ED25519: SignatureScheme = { kind: 'eddsa', curve: 'Ed25519' };
  const privateKey = (name: string) => createPrivateKey(readFileSync(corpus('rfc9216', `${name}.key`)));

  it.each([
    ['alice', 'bob', RSA, 'ca-rsa'],
    ['carlos', 'dana', ED25519, 'ca-ed25519'],
    ['alice', 'dana', RSA, 'ca-rsa'],
    ['carlos', 'bob', ED25519, 'ca-ed25519'],
  ] as const)('%s writes to %s', async (from, to, scheme, anchor) => {
    const certificate = (name: string) => corpusCertificate('rfc9216', `${name}.crt`);
    const signer = signingKey(privateKey(`${from}.sign`), certificate(`${from}.sign`), [scheme]);
    const message = crlf(`From: ${from}@smime.example\nTo: ${to}@smime.example\n\nHello\n`);
    const signed = await signMessage(message, signer, {
      form: 'clear',
      at: rfc9216At,
      encryptionCertificate: certificate(`${from}.encrypt`),
    });
    const encrypted = await encryptMessage(
      signed,
      [{ certificate: certificate(`${to}.encrypt`) }],
      'aes256-gcm',
    );
    const reader = decryptionKey(privateKey(`${to}.encrypt`), certificate(`${to}.encrypt`));
    const anchors = [certificate(anchor)];
    const opening = await openMessage(encrypted, [reader], { at: rfc9216At, anchors, pool: [] });
    expect(isVouchedFor(opening)).toBe(true);
    const other = await openMessage(encrypted, [reader], { at: rfc9216At, anchors: [], pool: [] });
    expect(isVouchedFor(other)).toBe(false);
  });
});
