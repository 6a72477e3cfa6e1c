import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { decrypt } from '../../src/cms/decrypt.ts';
import { peekRecipients, readEnvelopedData } from '../../src/cms/enveloped-data.ts';
import { identifies } from '../../src/cms/identifiers.ts';
import { certificatesOf, readSignedData } from '../../src/cms/signed-data.ts';
import { verifySignature } from '../../src/cms/verify.ts';
import { keysOfPkcs12 } from '../../src/hsm/files/pkcs12-key.ts';
import { Secret } from '../../src/log/secret.ts';
import { validatePath } from '../../src/pki/path.ts';
import { openMessage } from '../../src/smime/open.ts';
import { corpus, corpusCertificate, rfc9216At } from '../pki/corpora.ts';
import { signaturesOf } from '../smime/support/people.ts';
import { SoftwareKeys } from '../support/software-keys.ts';

/** gematik's sample of KIM, every step and every file. */

const STEPS = [
  'inputEmail.txt',
  'inputEmail.txt.01.rfc822wrap',
  'inputEmail.txt.02.signedcms',
  'inputEmail.txt.03.signedwrap',
  'inputEmail.txt.04.encryptedcms',
  'inputEmail.txt.05.encryptedwrap',
] as const;
const step = (name: (typeof STEPS)[number]): Buffer => readFileSync(corpus('kim', name));
const recipient = (name: string): Buffer => readFileSync(corpus('kim', 'recipient-a', name));
const certificate = (name: string) => corpusCertificate('kim', 'recipient-a', name);

/** Whoever wrote the sample was not careful with line ends. */
const withoutLineEnds = (octets: Buffer): string => octets.toString('latin1').replace(/[\r\n]+/g, '');

const software = new SoftwareKeys();
afterAll(() => software.close());

async function readerKey() {
  const password = new Secret(recipient('password.txt').toString('latin1').trim());
  const [loaded] = await keysOfPkcs12(recipient('hci-enc-2-kim-bsp.p12'), password, 'recipient A');
  if (loaded === undefined) throw new Error('no key in the file');
  const key = software.decryptionKey(loaded);
  if (key === null) throw new Error('the key does not decrypt');
  return { loaded, key };
}

describe('the files', () => {
  it('are these and no others', () => {
    expect(readdirSync(corpus('kim')).sort()).toEqual([...STEPS, 'recipient-a'].sort());
    expect(readdirSync(corpus('kim', 'recipient-a')).sort()).toEqual(
      [
        ...['GEM.KOMP-CA24-TEST-ONLY', 'GEM.RCA2-TEST-ONLY'].flatMap((name) => [
          `${name}.crt`,
          `${name}.pem`,
        ]),
        ...['crt', 'p12', 'p12.pem', 'pem', 'prv', 'prv.pem', 'pub', 'pub.pem'].map(
          (ending) => `hci-enc-2-kim-bsp.${ending}`,
        ),
        'password.txt',
      ].sort(),
    );
  });

  it.each(['GEM.KOMP-CA24-TEST-ONLY', 'GEM.RCA2-TEST-ONLY', 'hci-enc-2-kim-bsp'])(
    '%s is one certificate in both encodings',
    (name) => {
      expect(certificate(`${name}.crt`).der).toEqual(certificate(`${name}.pem`).der);
    },
  );

  it("the reader's key is the same in every file, and that of the certificate", async () => {
    const { loaded } = await readerKey();
    const pem = createPrivateKey(recipient('hci-enc-2-kim-bsp.prv.pem'));
    const der = createPrivateKey({ key: recipient('hci-enc-2-kim-bsp.prv'), format: 'der', type: 'pkcs8' });
    expect(loaded.privateKey.equals(pem)).toBe(true);
    expect(der.equals(pem)).toBe(true);
    const published = createPublicKey(recipient('hci-enc-2-kim-bsp.pub.pem'));
    expect(published.equals(createPublicKey(pem))).toBe(true);
    expect(loaded.certificate.der).toEqual(certificate('hci-enc-2-kim-bsp.crt').der);
    expect(loaded.certificate.publicKey.equals(published)).toBe(true);
  });

  it("the reader's certificate had a valid path in its time, and has none now", () => {
    const request = {
      certificate: certificate('hci-enc-2-kim-bsp.crt'),
      pool: [certificate('GEM.KOMP-CA24-TEST-ONLY.crt')],
      anchors: [certificate('GEM.RCA2-TEST-ONLY.crt')],
    };
    expect(validatePath({ ...request, at: new Date('2022-01-01T00:00:00Z') })).toMatchObject({
      outcome: 'valid',
    });
    expect(validatePath({ ...request, at: rfc9216At })).toMatchObject({ outcome: 'invalid' });
  });
});

describe('the steps', () => {
  it('01 is the mail in message/rfc822, with the mark of the service', () => {
    const wrapped = step('inputEmail.txt.01.rfc822wrap').toString('latin1');
    expect(wrapped).toMatch(/^Content-Type: message\/rfc822\r?\n\r?\n/);
    const inside = wrapped.slice(wrapped.search(/\r?\n\r?\n/)).trimStart();
    const unmarked = inside.replace(/^X-KIM-Dienstkennung: .*\r?\n/m, '');
    expect(withoutLineEnds(Buffer.from(unmarked))).toBe(withoutLineEnds(step('inputEmail.txt')));
  });

  it('02 is a good signature over 01, and over nothing else', () => {
    const signedData = readSignedData(step('inputEmail.txt.02.signedcms'));
    expect(signedData.content).toEqual(step('inputEmail.txt.01.rfc822wrap'));
    expect(signedData.signerInfos).toHaveLength(1);
    const content = signedData.content ?? Buffer.alloc(0);
    for (const signerInfo of signedData.signerInfos) {
      const signer = certificatesOf(signedData).find((one) => identifies(signerInfo.identifier, one));
      if (signer === undefined) throw new Error('the signer sent no certificate');
      const report = verifySignature(signedData, signerInfo, content, signer);
      expect(report).toMatchObject({ signature: 'good', algorithm: 'rsa-pss-sha256' });
      expect(report.checks).toContainEqual({ check: 'signing-certificate', outcome: 'passed' });
      for (let at = 0; at < content.length; at += 13) {
        const changed = Buffer.from(content);
        changed[at] = (changed[at] ?? 0) ^ 1;
        expect(verifySignature(signedData, signerInfo, changed, signer).signature).toBe('bad');
      }
    }
  });

  it('03, damaged in the making, is never taken for signed', async () => {
    const opening = await openMessage(step('inputEmail.txt.03.signedwrap'), [], {
      at: rfc9216At,
      anchors: [],
      pool: [],
    });
    expect(opening.outcome).toBe('failed');
    expect(signaturesOf(opening).filter(({ signature }) => signature === 'good')).toEqual([]);
  });

  it('04 is for two, opens for the one whose key is here, and holds 03', async () => {
    const octets = step('inputEmail.txt.04.encryptedcms');
    const { key } = await readerKey();
    const identifiers = peekRecipients(octets);
    expect(identifiers).toHaveLength(2);
    expect(identifiers.filter((one) => identifies(one, key.certificate))).toHaveLength(1);
    const opened = await decrypt(octets, [key]);
    expect(opened).toMatchObject({ outcome: 'opened', algorithm: 'aes256-gcm', authenticated: true });
    if (opened.outcome !== 'opened') throw new Error('not opened');
    expect(withoutLineEnds(opened.content)).toBe(withoutLineEnds(step('inputEmail.txt.03.signedwrap')));
  });

  it('04 changed in one octet of its content or its tag does not open', async () => {
    const octets = step('inputEmail.txt.04.encryptedcms');
    const { key } = await readerKey();
    const { ciphertext, mac } = readEnvelopedData(octets);
    if (mac === null) throw new Error('no tag');
    // The ciphertext is written in pieces.
    const from = octets.indexOf(ciphertext.subarray(0, 16));
    const end = octets.indexOf(ciphertext.subarray(-16)) + 16;
    const tagAt = octets.indexOf(mac);
    expect(from).toBeGreaterThan(0);
    expect(end - from).toBeGreaterThanOrEqual(ciphertext.length);
    expect(tagAt).toBeGreaterThanOrEqual(end);
    const content = Array.from({ length: Math.ceil((end - from) / 97) }, (_, i) => from + 97 * i);
    const tag = Array.from(mac, (_, i) => tagAt + i);
    for (const at of [...content, ...tag]) {
      const changed = Buffer.from(octets);
      changed[at] = (changed[at] ?? 0) ^ 1;
      const outcome = await decrypt(changed, [key]).catch(() => ({ outcome: 'failed' }));
      expect(outcome.outcome, `octet ${at}`).toBe('failed');
    }
  });

  it('05 opens as mail: authenticated encryption, and 04 is what it carries', async () => {
    const octets = step('inputEmail.txt.05.encryptedwrap');
    const { key } = await readerKey();
    const opening = await openMessage(octets, [key], { at: rfc9216At, anchors: [], pool: [] });
    expect(opening.report.layers[0]).toMatchObject({
      kind: 'encrypted',
      algorithm: 'aes256-gcm',
      authenticated: true,
      outcome: 'opened',
    });
    expect((await openMessage(octets, [], { at: rfc9216At, anchors: [], pool: [] })).outcome).toBe('no-key');
  });
});
