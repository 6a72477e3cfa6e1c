import { beforeAll, describe, expect, it } from 'vitest';
import { encryptMessage } from '../../src/smime/encrypt.ts';
import { type MessageOpening, openMessage } from '../../src/smime/open.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { elementPaths, liesIn } from '../cms/support/element-paths.ts';
import { decryptionKey, signingKey } from '../cms/support/software-keys.ts';
import {
  ecKey,
  extendedKeyUsage,
  generalName,
  keyUsage,
  makeCa,
  makeEnd,
  now,
  subjectAltName,
} from '../pki/make-certificate.ts';

/**
 * Every octet of whole mails is changed, one at a time: what is still vouched for afterwards shows what was signed, by whom
 * it was signed, and the change was in a place of a closed list.
 */

const WORDING = 'Content-Type: text/plain\r\n\r\nPay 100 to Bob.\r\n';
const ca = makeCa('CA');
const alice = makeEnd('Alice', 'CA', [
  keyUsage(0),
  extendedKeyUsage(false, '1.3.6.1.5.5.7.3.4'),
  subjectAltName(generalName.mailbox('alice@example.org')),
]);
const bob = makeEnd('Bob', 'CA', [keyUsage(4), subjectAltName(generalName.mailbox('bob@example.org'))]);
const signer = signingKey(ecKey('Alice').privateKey, alice, [{ kind: 'ecdsa', digest: 'sha256' }]);
const bobKey = decryptionKey(ecKey('Bob').privateKey, bob);

const plain = Buffer.from(
  `From: alice@example.org\r\nTo: bob@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\n${WORDING}`,
);
const FROM = plain.indexOf('\r\n');

function open(octets: Buffer): Promise<MessageOpening> {
  return openMessage(octets, [bobKey], { at: now, anchors: [ca], pool: [] });
}

function isVouchedFor({ report }: MessageOpening): boolean {
  return report.layers.some(
    (layer) =>
      layer.kind === 'signed' &&
      layer.signatures.some(
        ({ signature, speaksFor, path }) =>
          signature === 'good' && speaksFor === 'from' && path?.outcome === 'valid',
      ),
  );
}

/** Offsets of the changes after which the mail is still vouched for; each is seen to show what was signed. */
async function stillVouchedFor(octets: Buffer): Promise<number[]> {
  expect(isVouchedFor(await open(octets))).toBe(true);
  const found: number[] = [];
  for (let offset = 0; offset < octets.length; offset++) {
    const changed = Buffer.from(octets);
    changed[offset] = (changed[offset] ?? 0) ^ 0x01;
    const opening = await open(changed);
    if (opening.outcome === 'failed' || opening.outcome === 'no-key') {
      expect(opening.entity).toEqual(changed);
    }
    if (!isVouchedFor(opening)) continue;
    expect(opening.entity.includes(WORDING)).toBe(true);
    expect(opening.from).toMatchObject({ kind: 'one', address: { address: 'alice@example.org' } });
    found.push(offset);
  }
  return found;
}

/** In SignedData: see test/cms/tampering.properties.test.ts, without what belongs to certificates. */
const HARMLESS_IN_CMS = ['1.0.0', '1.0.1', '1.0.4.0.0', '1.0.4.0.1.0.0.0.1'];

/**
 * Elements of the CMS object in the base64 block from `start` on that a change at `offset` is in; null: the object is the same.
 * The last character before the padding has bits that stand for nothing (RFC 4648 §3.5).
 */
function pathsAt(octets: Buffer, start: number, offset: number): string[] | null {
  const text = octets.toString('latin1', start).split(/\r\n(?:\r\n)?--/)[0] ?? '';
  const cms = Buffer.from(text, 'base64');
  const changed = Buffer.from(text, 'latin1');
  changed[offset - start] = (changed[offset - start] ?? 0) ^ 0x01;
  const other = Buffer.from(changed.toString('latin1'), 'base64');
  if (cms.equals(other)) return null;
  const paths = elementPaths(cms);
  return paths.filter((_, i) => cms[i] !== other[i]);
}

function isHarmless(octets: Buffer, start: number, offset: number, elements: readonly string[]): boolean {
  const paths = pathsAt(octets, start, offset);
  if (paths === null) return true;
  return paths.length > 0 && paths.every((path) => elements.some((of) => liesIn(path, of)));
}

describe('a signed mail', () => {
  const options = { at: new Date('2026-01-01T00:00:00Z') };

  it('with the signature beside it', async () => {
    const octets = await signMessage(plain, signer, { ...options, form: 'clear' });
    const bodyStart = octets.indexOf('\r\n\r\n');
    const signaturePart = octets.indexOf('Content-Type: application/pkcs7-signature');
    const signature = octets.indexOf('\r\n\r\n', signaturePart) + 4;
    for (const offset of await stillVouchedFor(octets)) {
      // The header outside, but for the author; it is not signed.
      const outside = offset > FROM && offset < bodyStart;
      // What the signature is called, and its transfer encoding where it stays one.
      const ofSignature = offset >= signaturePart && offset < signature;
      const inside = offset >= signature && isHarmless(octets, signature, offset, HARMLESS_IN_CMS);
      expect(outside || ofSignature || inside, `octet ${offset}`).toBe(true);
    }
  });

  it('inside the signature', async () => {
    const octets = await signMessage(plain, signer, { ...options, form: 'opaque' });
    const bodyStart = octets.indexOf('\r\n\r\n') + 4;
    for (const offset of await stillVouchedFor(octets)) {
      const outside = offset > FROM && offset < bodyStart;
      expect(outside || isHarmless(octets, bodyStart, offset, HARMLESS_IN_CMS), `octet ${offset}`).toBe(true);
    }
  });
});

describe('a mail that is signed and then encrypted', () => {
  let signed: Buffer;

  beforeAll(async () => {
    signed = await signMessage(plain, signer, { form: 'opaque', at: new Date('2026-01-01T00:00:00Z') });
  });

  it('with AES-GCM: nothing inside can be changed', async () => {
    const octets = await encryptMessage(signed, [{ certificate: bob }], 'aes256-gcm');
    const bodyStart = octets.indexOf('\r\n\r\n') + 4;
    for (const offset of await stillVouchedFor(octets)) {
      const outside = offset > FROM && offset < bodyStart;
      // The versions of EnvelopedData and RecipientInfo, the case of the issuer’s name.
      const harmless = ['1.0.0', '1.0.1.0.0', '1.0.1.0.3.0.0.0.0.0.1'];
      expect(outside || isHarmless(octets, bodyStart, offset, harmless), `octet ${offset}`).toBe(true);
    }
  });

  it('with AES-CBC: whatever is changed inside, what is vouched for is what was signed', async () => {
    const octets = await encryptMessage(signed, [{ certificate: bob }], 'aes128-cbc');
    const found = await stillVouchedFor(octets);
    // The header of the signed entity inside can be changed, where nobody signed it; what it holds cannot.
    expect(found.every((offset) => offset > FROM)).toBe(true);
  });
});
