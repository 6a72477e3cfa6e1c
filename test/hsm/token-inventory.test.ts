import { createHash, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KeyDescription } from '../../src/hsm/inventory.ts';
import type { Operation } from '../../src/hsm/operation.ts';
import type { TokenSource } from '../../src/hsm/source-kinds.ts';
import type { Started } from '../support/services/disposable.ts';
import { services } from '../support/services/services.ts';
import type { SoftHsm } from '../support/services/softhsm.ts';
import type { TestKey } from '../support/services/test-token.ts';
import { inventoryOf, withPlace } from './support/key-place.ts';
import { tokenSource } from './support/opened-keys.ts';
import { present, refusal } from './support/refusal.ts';
import { workbench } from './support/workbench.ts';

/** Which keys a token has, which certificates belong to them, and what is known of them before anybody has logged in. */

const bench = workbench();
const CKM_RSA_PKCS = 1;
let token: Started<SoftHsm>;
let made: ReadonlyMap<string, TestKey>;
let authority: string;

beforeAll(async () => {
  token = await services.softhsm();
  const pki = await services.pki();
  const address = 'alice@example.org';
  const keys = await token.generateKeys(pki, [
    { address, label: 'plain', type: 'rsa-2048' },
    // The certificate has the CKA_ID of the key before, as tokens filled by hand do.
    { address, label: 'wrong id', type: 'rsa-2048', certificateId: 'c0' },
    { address, label: 'wrong id, EC', type: 'p-256', certificateId: 'c0' },
    { address, label: 'certificate elsewhere', type: 'p-256', certified: false },
    {
      ...{ address, label: 'one mechanism', type: 'rsa-2048' },
      attributes: { sign: true, decrypt: true, allowed: [CKM_RSA_PKCS] },
    },
    { address, label: 'signs only', type: 'p-384', use: 'sign' },
    { address, label: 'no permissions', type: 'rsa-2048', attributes: {} },
  ]);
  made = new Map(keys.map((key) => [key.label, key]));
  authority = pki.ca.certificate;
  await pki.stop();
  writeFileSync(bench.path('pin'), token.pin, { mode: 0o600 });
}, 60_000);

afterAll(async () => {
  await token?.stop();
  bench.remove();
});

async function keysOf(changes: Partial<TokenSource> = {}): Promise<readonly KeyDescription[]> {
  return await withPlace(tokenSource(token, bench.path('pin'), changes), {}, async (place) => [
    ...inventoryOf(place).keys,
  ]);
}

function labels(keys: readonly KeyDescription[]): string[] {
  return keys.map(({ label }) => label).sort();
}

function der(label: string): Buffer {
  return new X509Certificate(present(made.get(label)).certificate).raw;
}

describe('a certificate and its key', () => {
  test('belong together by the public key, whatever CKA_ID says', async () => {
    const keys = await keysOf();
    for (const label of ['plain', 'wrong id', 'wrong id, EC']) {
      const key = present(keys.find((each) => each.label === label));
      expect(Buffer.from(key.certificate)).toEqual(der(label));
      const spki = new X509Certificate(key.certificate).publicKey.export({ type: 'spki', format: 'der' });
      expect(key.key).toBe(createHash('sha256').update(spki).digest('hex'));
      expect(key.id).toBe(present(made.get(label)).id);
    }
  });

  test('a key without certificate is none, until a file brings one', async () => {
    expect(labels(await keysOf())).not.toContain('certificate elsewhere');
    const file = bench.path('elsewhere.pem');
    // The authority's is there for chains, and belongs to no key.
    writeFileSync(file, `${present(made.get('certificate elsewhere')).certificate}${authority}`);
    const keys = await keysOf({ certificates: [file] });
    expect(labels(keys)).toEqual([...labels(await keysOf()), 'certificate elsewhere'].sort());
    const key = present(keys.find(({ label }) => label === 'certificate elsewhere'));
    expect(key.opens).toEqual(['agree']);
  });

  test('a certificate that is on the token and in a file is one', async () => {
    const file = bench.path('twice.pem');
    writeFileSync(file, present(made.get('plain')).certificate);
    expect(labels(await keysOf({ certificates: [file] }))).toEqual(labels(await keysOf()));
  });
});

describe('RFC 7512 §2.3: the keys that are meant', () => {
  test.each([
    ['by label', { object: 'plain', id: null }, ['plain']],
    ['by CKA_ID', { object: null, id: 'c1' }, ['wrong id']],
    ['by CKA_ID in capitals', { object: null, id: 'C1' }, ['wrong id']],
    ['by both', { object: 'plain', id: 'c0' }, ['plain']],
    ['by both, of which one is another key’s', { object: 'plain', id: 'c1' }, []],
    ['by a name that nothing has', { object: 'nobody', id: null }, []],
  ])('%s', async (_, objects, expected) => {
    // A certificate has a name of its own, and 'c0' is that of three.
    const keys = await keysOf({ objects });
    expect(labels(keys)).toEqual(expected);
  });
});

describe('what a key does', () => {
  test('CKA_ALLOWED_MECHANISMS: nothing but what is on the list', async () => {
    const key = present((await keysOf()).find(({ label }) => label === 'one mechanism'));
    expect(new Set(key.schemes.map(({ kind }) => kind))).toEqual(new Set(['rsa-pkcs1']));
    expect(key.opens).toEqual(['rsa-pkcs1']);
  });

  test('a key without a permission is told with no ability', async () => {
    const key = present((await keysOf()).find(({ label }) => label === 'no permissions'));
    expect([key.schemes, key.opens]).toEqual([[], []]);
  });
});

describe('before login', () => {
  const asking = { pin: { ask: 'pinentry', program: '/bin/false' } } as const;

  test('certificates stand for their keys; what they do is what the token offers and the certificate allows', async () => {
    await withPlace(tokenSource(token, '', asking), {}, async (place) => {
      expect(place.state.kind).toBe('locked');
      const { keys, seen } = inventoryOf(place);
      expect(seen).toBe('before-login');
      const certified = [...made.keys()].filter((label) => label !== 'certificate elsewhere');
      const seenCertificates = keys.map(({ certificate }) => Buffer.from(certificate).toString('hex'));
      expect(seenCertificates.sort()).toEqual(certified.map((label) => der(label).toString('hex')).sort());
      const byCertificate = (label: string): KeyDescription =>
        present(keys.find(({ certificate }) => der(label).equals(certificate)));
      expect(byCertificate('signs only').opens).toEqual([]);
      expect(byCertificate('signs only').schemes[0]).toEqual({ kind: 'ecdsa', digest: 'sha384' });
      expect(byCertificate('plain').opens).toEqual(['rsa-pkcs1', 'rsa-oaep']);
    });
  });

  test('keys are called as after login, so that who asked for one finds it again', async () => {
    const after = await keysOf();
    await withPlace(tokenSource(token, '', asking), {}, async (place) => {
      expect(new Set(inventoryOf(place).keys.map(({ key }) => key))).toEqual(
        new Set(after.map(({ key }) => key)),
      );
    });
  });

  test('an authority’s certificate stands for no key', async () => {
    const file = bench.path('authority.pem');
    writeFileSync(file, authority);
    await withPlace(tokenSource(token, '', { ...asking, certificates: [file] }), {}, async (place) => {
      const ca = new X509Certificate(authority).raw;
      expect(inventoryOf(place).keys.some(({ certificate }) => ca.equals(certificate))).toBe(false);
    });
  });
});

test('a key that is not on the token is refused', async () => {
  await withPlace(tokenSource(token, bench.path('pin')), {}, async (place) => {
    const operation: Operation = {
      ...{ kind: 'sign', key: 'f'.repeat(64), input: 'message', data: Buffer.from('x') },
      scheme: { kind: 'rsa-pkcs1', digest: 'sha256' },
    };
    const { code, duration } = await refusal(place.perform(operation));
    expect([code, duration]).toEqual(['key.refused', 'permanent']);
  });
});
