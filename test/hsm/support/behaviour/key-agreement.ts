import { diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { expect, test } from 'vitest';
import { parseCertificate } from '../../../../src/pki/certificate.ts';
import type { KeyKind, KeyUnderTest } from '../key-under-test.ts';
import { codeOf, present } from '../refusal.ts';

export function keyAgreement(kind: KeyKind, get: () => KeyUnderTest): void {
  test('key agreement that is not told is refused', async () => {
    const { place, description } = get();
    if (description.opens.includes('agree')) return;
    const { publicKey } = parseCertificate(Buffer.from(description.certificate));
    const originator = der(
      kind === 'ec' ? likeThat(publicKey).publicKey : generateKeyPairSync('x25519').publicKey,
    );
    const agreed = place.perform({ kind: 'agree', key: description.key, originator });
    expect(await codeOf(agreed)).toEqual(['key.refused', 'permanent']);
  });

  if (kind !== 'ec' && kind !== 'x25519') return;

  test('RFC 5753 §3.1.1: agrees on the same secret as the originator', async () => {
    const key = agreeing(get());
    if (key === null) return;
    for (let i = 0; i < 5; i++) {
      const { publicKey, privateKey } = likeThat(key.publicKey);
      const theirs = diffieHellman({ privateKey, publicKey: key.publicKey });
      expect(await key.agree(der(publicKey))).toEqual(theirs);
    }
  });

  test('the gateway’s side agrees too', async () => {
    const { description, decryption } = get();
    if (!description.opens.includes('agree')) {
      expect(decryption).toBeNull();
      return;
    }
    const key = present(decryption);
    const { publicKey, privateKey } = likeThat(key.certificate.publicKey);
    const theirs = diffieHellman({ privateKey, publicKey: key.certificate.publicKey });
    expect(await key.agree(der(publicKey))).toEqual(theirs);
    expect(await codeOf(key.agree(Buffer.from('not a key')))).toEqual(['key.decrypt-failed', 'permanent']);
  });

  test('invalid curve attack: the key process itself refuses keys of another curve and points on none', async () => {
    const key = agreeing(get());
    if (key === null) return;
    const good = der(likeThat(key.publicKey).publicKey);
    const offCurve = Buffer.from(good);
    offCurve[offCurve.length - 1] = (offCurve.at(-1) ?? 0) ^ 1;
    const attacks: [string, Buffer][] = [
      ['secp256k1', der(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey)],
      ['brainpoolP320r1', der(generateKeyPairSync('ec', { namedCurve: 'brainpoolP320r1' }).publicKey)],
      ['X448', der(generateKeyPairSync('x448').publicKey)],
      ['Ed25519', der(generateKeyPairSync('ed25519').publicKey)],
      ['RSA', der(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey)],
      kind === 'ec'
        ? ['a point on no curve', offCurve]
        : ['a point of small order', Buffer.concat([good.subarray(0, good.length - 32), Buffer.alloc(32)])],
      ['a key cut off', good.subarray(0, good.length - 1)],
      ['no key', Buffer.from('not a key')],
      ['nothing', Buffer.alloc(0)],
    ];
    for (const [what, attack] of attacks) {
      expect([what, await codeOf(key.agree(attack))]).toEqual([what, ['key.decrypt-failed', 'permanent']]);
    }
  });

  if (kind === 'x25519') return;

  test.each([
    ['absent', []],
    ['NULL', [5, 0]],
  ] as const)(
    'RFC 5753 §3.1.1: parameters of the originator key that are %s are the recipient’s',
    async (_, parameters) => {
      const { decryption, description } = get();
      if (!description.opens.includes('agree')) {
        expect(decryption).toBeNull();
        return;
      }
      const key = present(decryption);
      const { publicKey, privateKey } = likeThat(key.certificate.publicKey);
      const theirs = diffieHellman({ privateKey, publicKey: key.certificate.publicKey });
      const spki = der(publicKey);
      const point = spki.subarray(spki.indexOf(Buffer.from([0, 4])));
      const algorithm = Buffer.from([0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, ...parameters]);
      const originator = tlv(0x30, Buffer.concat([tlv(0x30, algorithm), tlv(3, point)]));
      expect(await key.agree(originator)).toEqual(theirs);
    },
  );
}

/** null where the ability is not told; that it is refused then is a test of its own. */
function agreeing({ place, description }: KeyUnderTest) {
  if (!description.opens.includes('agree')) return null;
  const { publicKey } = parseCertificate(Buffer.from(description.certificate));
  return {
    publicKey,
    agree: (originator: Buffer) => place.perform({ kind: 'agree', key: description.key, originator }),
  };
}

/** A key pair on the same curve. */
function likeThat(key: KeyObject): { publicKey: KeyObject; privateKey: KeyObject } {
  return key.asymmetricKeyType === 'x25519'
    ? generateKeyPairSync('x25519')
    : generateKeyPairSync('ec', { namedCurve: present(key.asymmetricKeyDetails?.namedCurve) });
}

function der(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

function tlv(tag: number, content: Buffer): Buffer {
  const length = content.length < 128 ? [content.length] : [0x81, content.length];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}
