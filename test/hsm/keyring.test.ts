import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DecryptionKey, SigningKey } from '../../src/cms/keys.ts';
import { loadPemKey } from '../../src/hsm/files/pem-key.ts';
import { createKeyring, type KeyringPrincipal, type LiveKeys } from '../../src/hsm/keyring.ts';
import type { KeyStanding } from '../../src/hsm/known-key.ts';
import type { Event } from '../../src/log/events.ts';
import type { Keyring, Principal } from '../../src/pipeline/ports.ts';
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

describe('live keys', () => {
  /** Keys of which the test says how near they are, and when they change. */
  function changing(held: readonly SigningKey[] = signing) {
    const standings = new Map<string, KeyStanding>();
    const listeners: (() => void)[] = [];
    const wrap = (list: readonly SigningKey[]) =>
      liveKeys(list, decryption).signing.map(
        (key) =>
          new Proxy(key, {
            get: (target, property) =>
              property === 'standing'
                ? (standings.get(target.label) ?? 'open')
                : Reflect.get(target, property, target),
          }),
      );
    const live = {
      ...liveKeys(held, decryption),
      signing: wrap(held),
      unseen: new Map<string, string>(),
      version: 1,
      onChange: (listener: () => void) => void listeners.push(listener),
    };
    return {
      live,
      standings,
      become(list: readonly SigningKey[]) {
        live.signing = wrap(list);
        live.version++;
        for (const listener of listeners) listener();
      },
    };
  }
  const ring = (keys: LiveKeys, principals: readonly KeyringPrincipal[] = [ALICE]) => {
    events = [];
    return createKeyring({
      ...{ principals, keys, loginIsAddress: false, clock: () => new Date() },
      log: { write: (event) => events.push(event) },
    });
  };
  const forAlice = async (keys: Keyring) =>
    (await keys.signingKeys(principalNamed('alice'), 'alice@example.org')).map(({ label }) => label);

  test('a key that is there goes before one that asks for a PIN, and that before one that is away', async () => {
    const { live, standings } = changing();
    const keys = ring(live);
    standings.set('alice', 'away');
    expect(await forAlice(keys)).toEqual(['alice-sign', 'alice']);
    standings.set('alice-sign', 'away');
    standings.set('alice', 'locked');
    expect(await forAlice(keys)).toEqual(['alice', 'alice-sign']);
  });

  test('the profile of the address goes before everything, also a key that is away', async () => {
    const { live, standings } = changing();
    const profile = (sign: string, address = 'alice@EXAMPLE.org') => ({ address, sign, encrypt: null });
    const keys = (sign: string, address?: string) =>
      ring(live, [{ ...ALICE, profiles: [profile(sign, address)] }]);
    standings.set('alice-sign', 'away');
    expect(await forAlice(keys('alice-sign'))).toEqual(['alice-sign', 'alice']);
    expect(await forAlice(keys('alice'))).toEqual(['alice', 'alice-sign']);
    expect(await forAlice(keys('alice-sign', 'team@example.org'))).toEqual(['alice', 'alice-sign']);
  });

  test('attack: a profile gives no key that is not among those of the login, and none for another purpose', async () => {
    const { live } = changing();
    for (const sign of ['bob', 'alice-encrypt', 'alice-tls', 'alice-other']) {
      const profiles = [{ address: 'alice@example.org', sign, encrypt: 'bob' }];
      const keys = ring(live, [{ ...ALICE, profiles }]);
      expect((await forAlice(keys)).sort()).toEqual(['alice', 'alice-sign']);
      const own = keys.ownCertificates(principalNamed('alice'), 'alice@example.org');
      expect(own.flatMap(({ certificate }) => certificate.mailboxes)).not.toContain('bob@example.org');
    }
  });

  test('the certificate that others encrypt to is that of the profile, else the newest', () => {
    const { live } = changing();
    const first = (encrypt: string | null) =>
      ring(live, [
        { ...ALICE, profiles: [{ address: 'alice@example.org', sign: null, encrypt }] },
      ]).ownCertificates(principalNamed('alice'), 'alice@example.org')[0]?.certificate.fingerprint;
    const print = (label: string) => decryption.find((key) => key.label === label)?.certificate.fingerprint;
    expect(first('alice-encrypt')).toBe(print('alice-encrypt'));
    expect(first('alice')).toBe(print('alice'));
  });

  test('a card that brings another certificate changes what signs, and a key that is gone is given to nobody', async () => {
    const { live, become } = changing(signing.filter(({ label }) => label === 'alice'));
    const keys = ring(live, [{ ...ALICE, keys: ['alice', 'hsm'] }]);
    expect(await forAlice(keys)).toEqual(['alice']);
    become(signing.filter(({ label }) => label === 'bob'));
    expect(await forAlice(keys)).toEqual([]);
  });

  test('a certificate for another address is told with both, once, when the key comes into being', () => {
    const { live, become } = changing([]);
    const keys = ring(live, [{ ...ALICE, keys: ['alice-other', 'alice-tls', 'alice'] }]);
    const others = signing.filter(({ label }) => label === 'alice-other');
    for (let times = 0; times < 3; times++) {
      become(others);
      become([]);
    }
    expect(events.filter(({ event }) => event === 'key.address-mismatch')).toEqual([
      {
        event: 'key.address-mismatch',
        level: 'warn',
        principal: 'alice',
        key: 'alice-other',
        certificateAddresses: 'alice@elsewhere.example',
        loginAddresses: 'alice@example.org, team@example.org',
      },
    ]);
    expect(keys.mismatches.map(({ sentence }) => sentence)).toEqual([
      expect.stringMatching(
        /for alice@elsewhere\.example, and the login alice writes from alice@example\.org/,
      ),
    ]);
  });

  test('a card that was never there is no mistake of the configuration, and is told as what it is', async () => {
    const { live } = changing([]);
    live.unseen.set('card', 'Nobody has seen the keys of card yet. Insert it.');
    const keys = ring(live, [
      { ...ALICE, keys: ['card/signature'] },
      { login: 'bob', addresses: [], keys: ['bob'] },
    ]);
    expect(keys.unseen(principalNamed('alice'))).toMatch(/Insert it/);
    expect(keys.unseen(principalNamed('bob'))).toBeNull();
    expect(keys.unseen(principalNamed('mallory'))).toBeNull();
    expect(keys.whyNoSigningKey(principalNamed('alice'), 'alice@example.org')).toMatchObject({
      reason: 'unseen',
      duration: 'temporary',
      publicText: expect.stringContaining('Insert it'),
    });
  });

  test('a label that the card of today has not is told; one that a token has not stops the start', () => {
    const { live } = changing();
    const place = { kind: 'token', state: 'open', place: '', reader: null, keys: 0, sentence: '' } as const;
    const status = (changes: boolean) => [{ name: 'hsm', places: [{ ...place, changes }] }];
    const principals = [{ ...ALICE, keys: ['hsm/nobody'] }];
    ring({ ...live, status: status(true) }, principals);
    expect(events).toContainEqual(expect.objectContaining({ event: 'key.name-unknown', key: 'hsm/nobody' }));
    expect(() => ring({ ...live, status: status(false) }, principals)).toThrow(/correct the name/);
  });

  test('a label that no card has is told once, whatever other cards come and go, and again when it is gone again', () => {
    const { live, become } = changing([]);
    const place = { kind: 'token', state: 'open', place: '', reader: null, keys: 0, sentence: '' } as const;
    Object.assign(live, {
      decryption: [],
      status: [{ name: 'alice', places: [{ ...place, changes: true }] }],
    });
    const told = () => events.filter(({ event }) => event === 'key.name-unknown').length;
    ring(live, [{ ...ALICE, keys: ['alice'] }]);
    expect(told()).toBe(1);
    for (let times = 0; times < 3; times++) become(signing.filter(({ label }) => label === 'bob'));
    expect(told()).toBe(1);
    become(signing.filter(({ label }) => label === 'alice'));
    become([]);
    expect(told()).toBe(2);
  });
});

const CHANGING = {
  ...({ kind: 'token', state: 'open' } as const),
  ...{ place: '', reader: null, keys: 0, sentence: '', changes: true },
};

describe('why there is no key to sign with', () => {
  const why = (keys: readonly string[], address = 'alice@example.org', clock = () => new Date()) =>
    keyring([{ ...ALICE, addresses: [address], keys }], { clock }).whyNoSigningKey(
      principalNamed('alice'),
      address,
    );

  test.each([
    ['none at all', [], 'none', /no key that signs for alice@example\.org/],
    [
      'for another address: both are named',
      ['alice-other'],
      'other-address',
      /certificate is for alice@elsewhere\.example and the mail is from alice@example\.org/,
    ],
    ['key usage', ['alice-encrypt'], 'purpose', /alice@example\.org cannot be used to sign: the key usage/],
    ['extended key usage', ['alice-tls'], 'purpose', /not issued for mail/],
    ['the nearest of several', ['bob', 'alice-other', 'alice-encrypt'], 'purpose', /key usage/],
  ] as const)('%s', (_, keys, reason, text) => {
    expect(why(keys)).toMatchObject({
      reason,
      duration: 'permanent',
      publicText: expect.stringMatching(text),
    });
  });

  test('an expired one is that, though others would not do either', () => {
    const late = () => new Date('2100-01-01');
    expect(why(['alice-encrypt', 'alice', 'alice-other'], 'alice@example.org', late)).toMatchObject({
      reason: 'validity',
      publicText: expect.stringMatching(
        /alice@example\.org cannot be used to sign: this certificate expired at/,
      ),
    });
  });

  test('a former card is named only to whom it was given, and as long as it would sign', () => {
    const [key] = signing.filter(({ label }) => label === 'alice');
    if (key === undefined) throw new Error('alice has no key');
    const former = [
      { source: 'card', name: 'Signature', label: 'card/Signature', certificate: key.certificate },
    ];
    const reason = (names: readonly string[], clock = () => new Date()) =>
      createKeyring({
        ...{ principals: [{ ...ALICE, keys: names }], loginIsAddress: false, clock },
        keys: {
          ...liveKeys([], []),
          former,
          unseen: new Map(),
          status: [{ name: 'card', places: [CHANGING] }],
        },
        log: { write: () => undefined },
      }).whyNoSigningKey(principalNamed('alice'), 'alice@example.org');
    expect(reason(['card'])).toMatchObject({ reason: 'other-card', duration: 'temporary' });
    expect(reason(['card/Signature'])).toMatchObject({ reason: 'other-card' });
    expect(reason(['card/Other'])).toMatchObject({ reason: 'none' });
    expect(reason(['card'], () => new Date('2100-01-01'))).toMatchObject({ reason: 'none' });
  });

  test('mail for a former card waits for it: its key is known and last, for whom it was given, until it expires', async () => {
    const live = liveKeys([], decryption);
    const [former] = live.decryption.filter(({ label }) => label === 'alice');
    if (former === undefined) throw new Error('alice has no key');
    const others = live.decryption.filter(({ label }) => label !== 'alice');
    const keyring = (names: readonly string[], clock = () => new Date()) =>
      createKeyring({
        ...{ principals: [{ ...ALICE, keys: names }], loginIsAddress: false, clock },
        keys: {
          ...{ ...live, decryption: others, formerDecryption: [former] },
          status: live.status.map((each) => ({ ...each, places: [CHANGING] })),
        },
        log: { write: () => undefined },
      });
    const found = async (...given: Parameters<typeof keyring>) =>
      (await keyring(...given).decryptionKeys(principalNamed('alice'))).map(({ label }) => label);
    const names = [...others.map(({ source }) => source), former.source];
    expect((await found(names)).at(-1)).toBe('alice');
    expect(await found(others.map(({ source }) => source))).not.toContain('alice');
    expect(await found(names, () => new Date('2100-01-01'))).not.toContain('alice');
  });

  test('keys that only decrypt are named as such', () => {
    const archive = liveKeys([], decryption, { use: 'decrypt' });
    const keys = createKeyring({
      ...{ principals: [ALICE], loginIsAddress: false, keys: archive, clock: () => new Date() },
      log: { write: () => undefined },
    });
    expect(keys.whyNoSigningKey(principalNamed('alice'), 'alice@example.org').publicText).toMatch(
      /only decrypt/,
    );
    expect(keys.mismatches).toEqual([]);
  });

  test('nothing of another login’s keys is in the sentence', () => {
    const ring = keyring([ALICE, { login: 'bob', addresses: ['bob@example.org'], keys: ['bob'] }]);
    for (const login of ['mallory', 'bob']) {
      const { publicText } = ring.whyNoSigningKey(principalNamed(login), 'x@example.org');
      expect(publicText).not.toMatch(/alice|elsewhere/);
    }
  });
});

describe('attacks', () => {
  test('what merely looks like a login gets nothing, whatever the compiler was told', async () => {
    const ring = keyring([ALICE], { loginIsAddress: true });
    for (const forged of [{ login: 'alice' }, { ...principalNamed('alice') }, 'alice', null]) {
      const principal = forged as unknown as Principal;
      expect(await ring.signingKeys(principal, 'alice@example.org')).toEqual([]);
      expect(await ring.decryptionKeys(principal)).toEqual([]);
      expect(ring.ownCertificates(principal, 'alice@example.org')).toEqual([]);
    }
  });

  test('a key that was handed out stays bound to its login: its line names no other', async () => {
    const ring = keyring([ALICE, { login: 'bob', addresses: ['alice@example.org'], keys: ['alice'] }]);
    const alices = present((await ring.signingKeys(principalNamed('alice'), 'alice@example.org'))[0]);
    await ring.signingKeys(principalNamed('bob'), 'alice@example.org');
    events = [];
    await alices.sign(present(alices.schemes[0]), Buffer.from('x'));
    expect(events).toMatchObject([{ event: 'key.used', principal: 'alice' }]);
  });

  test('a label with a slash is no way into another key', async () => {
    const [alice] = signing.filter(({ label }) => label === 'alice');
    const [bob] = signing.filter(({ label }) => label === 'bob');
    const named = (key: SigningKey, label: string): SigningKey => ({
      ...{ label, certificate: key.certificate, chain: key.chain, schemes: key.schemes },
      sign: (...parameters) => key.sign(...parameters),
    });
    const keys = liveKeys([named(present(alice), 'card/a'), named(present(bob), 'card/a/b')]);
    const principals = [{ ...ALICE, addresses: ['alice@example.org', 'bob@example.org'], keys: ['card/a'] }];
    const ring = createKeyring({
      ...{ principals, loginIsAddress: false, keys, clock: () => new Date() },
      log: { write: () => undefined },
    });
    expect(await ring.signingKeys(principalNamed('alice'), 'bob@example.org')).toEqual([]);
    expect(await ring.signingKeys(principalNamed('alice'), 'alice@example.org')).toHaveLength(1);
  });

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
