import { createPrivateKey } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readMessage } from '../../src/mail/entity-tree.ts';
import { decodeBody, encodeBase64 } from '../../src/mail/transfer-encoding.ts';
import { encryptMessage } from '../../src/smime/encrypt.ts';
import { type MessageOpening, openMessage } from '../../src/smime/open.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { decryptionKey, signingKey } from '../cms/support/software-keys.ts';
import { services } from '../support/services/services.ts';
import { parsePem } from './support/pem.ts';
import { crlf, isVouchedFor, signaturesOf } from './support/people.ts';

type Pki = Awaited<ReturnType<typeof services.pki>>;
type Identity = Awaited<ReturnType<Pki['issueUser']>>;

let pki: Pki;
let gpgsm: Awaited<ReturnType<typeof services.gpgsm>>;
let nss: Awaited<ReturnType<typeof services.nss>>;
let alice: Identity;
let bob: Identity;

beforeAll(async () => {
  pki = await services.pki();
  [alice, bob] = await Promise.all([
    pki.issueUser({ address: 'alice@example.org' }),
    pki.issueUser({ address: 'bob@example.org' }),
  ]);
  gpgsm = await services.gpgsm(pki);
  nss = await services.nss(pki);
  for (const identity of [alice, bob]) {
    await gpgsm.importIdentity(identity);
    await nss.importIdentity(identity);
  }
}, 60_000);
afterAll(async () => {
  await gpgsm.stop();
  await nss.stop();
  await pki.stop();
});

const CONTENT = crlf('Content-Type: text/plain; charset=utf-8\n\nHello from the others\n');

function open(octets: Buffer): Promise<MessageOpening> {
  const key = decryptionKey(createPrivateKey(bob.key), parsePem(bob.certificate));
  return openMessage(octets, [key], { at: new Date(), anchors: [parsePem(pki.ca.certificate)], pool: [] });
}

/** Raw CMS in the MIME wrapping that mail has (RFC 8551 §3.2). */
function opaque(smimeType: string, cms: Buffer): Buffer {
  const header = `From: alice@example.org\r\nContent-Type: application/pkcs7-mime; smime-type=${smimeType}\r\n`;
  return Buffer.concat([
    Buffer.from(`${header}Content-Transfer-Encoding: base64\r\n\r\n`),
    encodeBase64(cms),
  ]);
}

function clear(content: Buffer, cms: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(
      'From: alice@example.org\r\nContent-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n micalg=sha-256; boundary=b\r\n\r\n--b\r\n',
    ),
    content,
    Buffer.from(
      '\r\n--b\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n',
    ),
    encodeBase64(cms),
    Buffer.from('--b--\r\n'),
  ]);
}

describe.each(['gpgsm', 'nss'] as const)('%s', (name) => {
  const peer = () => (name === 'gpgsm' ? gpgsm : nss);
  const person = (identity: Identity) => (name === 'gpgsm' ? identity.address : 'alice@example.org');

  it('signs, clear and opaque, and we verify', async () => {
    const detached = await peer().sign(person(alice), CONTENT, { detached: true });
    const attached = await peer().sign(person(alice), CONTENT);
    const openings = [await open(clear(CONTENT, detached)), await open(opaque('signed-data', attached))];
    expect(openings.map(isVouchedFor)).toEqual([true, true]);
    expect(openings[1]?.entity).toEqual(CONTENT);
    const broken = await open(clear(crlf('Content-Type: text/plain\n\nOther\n'), detached));
    expect(signaturesOf(broken)).toMatchObject([{ signature: 'bad' }]);
  });

  it('encrypts, and we decrypt', async () => {
    const enveloped = await peer().encrypt([bob.address], CONTENT);
    const opening = await open(opaque('enveloped-data', enveloped));
    expect(opening.outcome).toBe('opened');
    expect(opening.entity).toEqual(CONTENT);
  });
});

describe('what we make', () => {
  const message = crlf(
    'From: alice@example.org\nContent-Type: text/plain; charset=utf-8\n\ncafé \nFrom here\n',
  );
  const cmsOf = (octets: Buffer): Buffer => {
    const read = readMessage(octets);
    const part = read.root.parts[1] ?? read.root;
    return decodeBody(octets, part);
  };
  const signer = () =>
    signingKey(createPrivateKey(alice.key), parsePem(alice.certificate), [
      { kind: 'rsa-pkcs1', digest: 'sha256' },
    ]);

  it('gpgsm and NSS verify it', async () => {
    const signed = await signMessage(message, signer(), { form: 'clear', at: new Date() });
    const { root } = readMessage(signed);
    const content = signed.subarray(root.parts[0]?.range.start, root.parts[0]?.range.end);
    const status = await gpgsm.verify(cmsOf(signed), Buffer.from(content));
    expect(status.join('\n')).toContain('GOODSIG');
    await nss.decode(cmsOf(signed), Buffer.from(content));
    await expect(nss.decode(cmsOf(signed), Buffer.from('other'))).rejects.toThrow();
    const attached = await signMessage(message, signer(), { form: 'opaque', at: new Date() });
    expect((await nss.decode(cmsOf(attached))).toString()).toContain('caf=C3=A9=20');
  });

  it('gpgsm and NSS decrypt it', async () => {
    const encrypted = await encryptMessage(
      message,
      [{ certificate: parsePem(bob.certificate) }],
      'aes256-cbc',
    );
    expect((await gpgsm.decrypt(cmsOf(encrypted))).toString()).toContain('caf=C3=A9=20');
    expect((await nss.decode(cmsOf(encrypted))).toString()).toContain('caf=C3=A9=20');
  });
});
