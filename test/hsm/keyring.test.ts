import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DecryptionKey, SigningKey } from '../../src/cms/keys.ts';
import { loadPemKey } from '../../src/hsm/files/pem-key.ts';
import { createKeyring, type KeyringPrincipal } from '../../src/hsm/keyring.ts';
import type { Event } from '../../src/log/events.ts';
import type { Keyring } from '../../src/pipeline/ports.ts';
import { liveKeys } from '../support/live-keys.ts';
import { principalNamed } from '../support/principal.ts';
import { SoftwareKeys } from '../support/software-keys.ts';
import { Authority, type CertificateWish } from './support/authority.ts';
import { present, refusal } from './support/key-behaviour.ts';

const authority = new Authority();
const software = new SoftwareKeys();
const signing: SigningKey[] = [];
const decryption: DecryptionKey[] = [];
let events: Event[] = [];

const WISHES: Record<string, CertificateWish> = {
  alice: { address: 'alice@example.org' },
  'alice-sign': { address: 'alice@example.org', keyUsage: 'digitalSignature' },
  'alice-encrypt': { address: 'alice@example.org', keyUsage: 'keyAgreement' },
  'alice-tls': { address: 'alice@example.org', extendedKeyUsage: 'clientAuth' },
  'alice-other': { address: 'alice@elsewhere.example' },
  bob: { address: 'bob@example.org' },
  'hsm/carol': { address: 'carol@example.org' },
  'hsm/carola': { address: 'carol@example.org' },
};

beforeAll(async () => {
  for (const [label, wish] of Object.entries(WISHES)) {
    const file = label.replace('/', '-');
    authority.newKey(`${file}.key`, 'p256');
    authority.certify(file, wish);
    const [key] = await loadPemKey({
      certificateFile: authority.path(`${file}.crt`),
      keyFile: authority.path(`${file}.key`),
      name: label,
    });
    signing.push(present(software.signingKey(present(key))));
    decryption.push(present(software.decryptionKey(present(key))));
  }
});

afterAll(async () => {
  await software.close();
  authority.remove();
});

function keyring(
  principals: readonly KeyringPrincipal[],
  changes: { loginIsAddress?: boolean; clock?: () => Date } = {},
): Keyring {
  return createKeyring({
    principals,
    loginIsAddress: false,
    keys: liveKeys(signing, decryption),
    log: { write: (event) => events.push(event) },
    clock: () => new Date(),
    ...changes,
  });
}

const ALICE = {
  login: 'alice',
  addresses: ['alice@Example.ORG', 'team@example.org'],
  keys: ['alice', 'alice-sign', 'alice-encrypt', 'alice-tls', 'alice-other'],
};
const labels = (keys: readonly { label: string }[]): string[] => keys.map((key) => key.label).sort();

describe('which keys a login may use', () => {
  test('those of its entry that may sign and speak for the address', async () => {
    const ring = keyring([ALICE]);
    expect(ring.addressesOf(principalNamed('alice'))).toEqual(['alice@example.org', 'team@example.org']);
    expect(labels(await ring.signingKeys(principalNamed('alice'), 'alice@EXAMPLE.org'))).toEqual([
      'alice',
      'alice-sign',
    ]);
    expect(await ring.signingKeys(principalNamed('alice'), 'team@example.org')).toEqual([]);
  });

  test('every key it ever held decrypts, also an expired one', async () => {
    const ring = keyring([ALICE], { clock: () => new Date('2100-01-01') });
    expect(await ring.signingKeys(principalNamed('alice'), 'alice@example.org')).toEqual([]);
    expect(labels(await ring.decryptionKeys(principalNamed('alice')))).toEqual([...ALICE.keys].sort());
  });

  test('newest first', async () => {
    authority.newKey('later.key', 'p256');
    authority.certify('later', { address: 'alice@example.org', days: 20 });
    const [key] = await loadPemKey({
      certificateFile: authority.path('later.crt'),
      keyFile: authority.path('later.key'),
      name: 'alice/later',
    });
    const later = present(software.signingKey(present(key)));
    for (const keys of [
      [...signing, later],
      [later, ...signing],
    ]) {
      const ring = createKeyring({
        principals: [ALICE],
        loginIsAddress: false,
        keys: liveKeys(keys, decryption),
        log: { write: () => undefined },
        clock: () => new Date(),
      });
      const found = await ring.signingKeys(principalNamed('alice'), 'alice@example.org');
      expect(present(found[0]).label).toBe('alice/later');
    }
  });

  test('an address in the certificate is not enough: it must belong to the login too', async () => {
    const ring = keyring([{ ...ALICE, addresses: ['team@example.org'] }]);
    expect(await ring.signingKeys(principalNamed('alice'), 'alice@example.org')).toEqual([]);
  });

  test('the name of a token stands for all its keys, and of no other', async () => {
    const ring = (keys: string[]) =>
      keyring([{ login: 'x', addresses: [], keys }]).decryptionKeys(principalNamed('x'));
    expect(labels(await ring(['hsm']))).toEqual(['hsm/carol', 'hsm/carola']);
    expect(labels(await ring(['hsm/carol']))).toEqual(['hsm/carol']);
    expect(labels(await ring(['alice']))).toEqual(['alice']);
  });

  test('a name that no key has is refused at once', () => {
    for (const name of ['', 'hs', 'hsm/', 'alic', 'ALICE', '*', 'hsm/carol/x']) {
      expect(() => keyring([{ login: 'x', addresses: [], keys: [name] }])).toThrow(/correct the name/);
    }
  });

  test('a login with two entries is refused at once', () => {
    expect(() => keyring([ALICE, { login: 'alice', addresses: [], keys: ['bob'] }])).toThrow(/two entries/);
  });

  test('where the login is the address, it owns it, and still has no keys by itself', async () => {
    const ring = keyring([], { loginIsAddress: true });
    const bob = principalNamed('bob@Example.org');
    expect(ring.addressesOf(bob)).toEqual(['bob@example.org']);
    expect(await ring.signingKeys(bob, 'bob@example.org')).toEqual([]);
    expect(await ring.decryptionKeys(bob)).toEqual([]);
    expect(ring.addressesOf(principalNamed('bob'))).toEqual([]);
    expect(keyring([]).addressesOf(bob)).toEqual([]);
    const mapped = keyring([{ login: 'bob@Example.org', addresses: [], keys: ['bob'] }], {
      loginIsAddress: true,
    });
    expect(labels(await mapped.signingKeys(bob, 'bob@example.org'))).toEqual(['bob']);
  });
});

describe('attacks', () => {
  const BOB = { login: 'bob', addresses: ['bob@example.org'], keys: ['bob'] };

  test.each([
    'Alice',
    'ALICE',
    ' alice',
    'alice ',
    'alice\0',
    'alice@example.org',
    '',
    '*',
    '__proto__',
    'constructor',
    'toString',
    'аlice',
    'alice*bob',
    'bob',
  ])('the login %j gets nothing of alice’s', async (login) => {
    const ring = keyring([ALICE, BOB]);
    expect(await ring.signingKeys(principalNamed(login), 'alice@example.org')).toEqual([]);
    const held = labels(await ring.decryptionKeys(principalNamed(login)));
    expect(held).toEqual(login === 'bob' ? ['bob'] : []);
  });

  test.each([
    'bob@example.org',
    'alice@example.org,bob@example.org',
    'alice@example.org\0',
    '<alice@example.org>',
    'Alice@example.org',
    'alice@example.org.',
    'alice@exámple.org',
    '',
    '@',
    'alice',
  ])('From %j signs nothing with alice’s keys', async (address) => {
    expect(await keyring([ALICE, BOB]).signingKeys(principalNamed('alice'), address)).toEqual([]);
  });

  test('whatever the entries: nobody ever gets a key that is not in the own entry, or signs for a foreign address', async () => {
    const names = fc.constantFrom(...Object.keys(WISHES), 'hsm');
    const addresses = fc.constantFrom(
      'alice@example.org',
      'bob@example.org',
      'carol@example.org',
      'x@example.org',
    );
    const logins = fc.constantFrom('alice', 'bob', 'carol', 'carol@example.org', 'Alice', 'mallory');
    const entry = fc.record({
      login: logins,
      addresses: fc.array(addresses, { maxLength: 3 }),
      keys: fc.array(names, { maxLength: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(entry, { selector: (each) => each.login, maxLength: 5 }),
        fc.boolean(),
        logins,
        addresses,
        async (principals, loginIsAddress, login, address) => {
          const ring = keyring(principals, { loginIsAddress });
          const own = principals.find((each) => each.login === login);
          const allowed = own?.keys ?? [];
          const mayUse = (label: string) =>
            allowed.some((name) => label === name || label.startsWith(`${name}/`));
          const forSigning = await ring.signingKeys(principalNamed(login), address);
          for (const key of [...forSigning, ...(await ring.decryptionKeys(principalNamed(login)))])
            expect(mayUse(key.label)).toBe(true);
          const owns = own?.addresses.includes(address) === true || (loginIsAddress && login === address);
          if (!owns) expect(forSigning).toEqual([]);
          for (const key of forSigning) expect(key.certificate.mailboxes).toContain(address);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('the audit trail', () => {
  test('every use is one event with login, key and mail, whether it succeeds or not', async () => {
    const ring = keyring([ALICE]);
    const mail = 'mail-1' as Parameters<Keyring['signingKeys']>[2];
    const sign = present((await ring.signingKeys(principalNamed('alice'), 'alice@example.org', mail))[0]);
    const decrypt = present((await ring.decryptionKeys(principalNamed('alice')))[0]);
    events = [];
    await sign.sign(present(sign.schemes[0]), Buffer.from('secret content'));
    await refusal(sign.sign({ kind: 'rsa-pkcs1', digest: 'sha256' }, Buffer.from('x')));
    await refusal(decrypt.agree(Buffer.from('nonsense')));
    await refusal(decrypt.decryptKey({ kind: 'rsa-pkcs1' }, Buffer.alloc(256)));
    await refusal(decrypt.decapsulate(Buffer.alloc(768)));
    const common = { event: 'key.used', level: 'info', principal: 'alice' };
    const signed = { ...common, key: sign.label, certificate: sign.certificate.fingerprint };
    const opened = { ...common, key: decrypt.label, certificate: decrypt.certificate.fingerprint };
    const refusedSign = { ...signed, operation: 'sign', mail: 'mail-1', outcome: 'failed' };
    const failed = { ...opened, operation: 'decrypt', mail: '-', outcome: 'failed' };
    expect(events).toEqual([
      { ...signed, operation: 'sign', mail: 'mail-1', outcome: 'done', code: null },
      { ...refusedSign, code: 'key.refused' },
      { ...failed, code: 'key.decrypt-failed' },
      { ...failed, code: 'key.refused' },
      { ...failed, code: 'key.refused' },
    ]);
  });

  test('handing a key out is no use of it', async () => {
    events = [];
    const ring = keyring([ALICE]);
    await ring.signingKeys(principalNamed('alice'), 'alice@example.org');
    await ring.decryptionKeys(principalNamed('alice'));
    expect(events.filter(({ event }) => event === 'key.used')).toEqual([]);
  });
});
