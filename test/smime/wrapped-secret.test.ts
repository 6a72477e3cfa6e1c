import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DecryptionKey } from '../../src/cms/keys.ts';
import { SealgateError } from '../../src/errors.ts';
import { unwrapSecret, wrapSecret } from '../../src/smime/wrapped-secret.ts';
import { type Identity, IdentityFolder } from '../cms/support/identities.ts';
import { decryptionKey } from '../cms/support/software-keys.ts';

let at: IdentityFolder;
let bob: Identity;
let carol: Identity;
beforeAll(() => {
  at = new IdentityFolder();
  bob = at.issue('bob', 'rsa');
  carol = at.issue('carol', 'P-256');
});
afterAll(() => at.remove());

const keyOf = ({ privateKey, certificate }: Identity): DecryptionKey =>
  decryptionKey(privateKey, certificate);
const secret = randomBytes(32);

describe('a secret under a certificate', () => {
  it('comes back by one use of its key, whatever kind that is', async () => {
    for (const identity of [bob, carol, at.issue('dave', 'x25519')]) {
      const wrapped = await wrapSecret(secret, identity.certificate, true);
      expect(await unwrapSecret(wrapped, keyOf(identity))).toEqual(secret);
      expect(wrapped.includes(secret)).toBe(false);
    }
  });

  it('is under OAEP only where the key reads that', async () => {
    const schemes: string[] = [];
    const watched: DecryptionKey = {
      ...keyOf(bob),
      decryptKey: (scheme, octets) => {
        schemes.push(scheme.kind);
        return keyOf(bob).decryptKey(scheme, octets);
      },
    };
    for (const readsOaep of [true, false]) {
      const wrapped = await wrapSecret(secret, bob.certificate, readsOaep);
      expect(await unwrapSecret(wrapped, watched)).toEqual(secret);
    }
    expect(schemes).toEqual(['rsa-oaep', 'rsa-pkcs1']);
  });

  it('is nothing to another key, nor after any octet was changed or cut off', async () => {
    const wrapped = await wrapSecret(secret, carol.certificate, true);
    expect(await unwrapSecret(wrapped, keyOf(bob))).toBeNull();
    for (let octet = 0; octet < wrapped.length; octet += 7) {
      const changed = Buffer.from(wrapped);
      changed[octet] = (changed[octet] ?? 0) ^ 1;
      const got = await unwrapSecret(changed, keyOf(carol));
      // What nobody reads (a version, an identifier) may be another one; the secret never is.
      expect([octet, got === null || got.equals(secret)]).toEqual([octet, true]);
      expect(await unwrapSecret(wrapped.subarray(0, octet), keyOf(carol))).toBeNull();
    }
  });

  it('waits for a key that is away: that is no damage', async () => {
    const wrapped = await wrapSecret(secret, carol.certificate, true);
    const away = async (): Promise<Buffer> => {
      throw new SealgateError({ code: 'key.unavailable', publicText: 'Insert it.', duration: 'temporary' });
    };
    await expect(unwrapSecret(wrapped, { ...keyOf(carol), agree: away })).rejects.toMatchObject({
      code: 'key.unavailable',
    });
  });
});
