import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { SignatureScheme } from '../../src/cms/keys.ts';
import { SealgateError } from '../../src/errors.ts';
import { errorOf, refused, unavailable } from '../../src/hsm/failures.ts';
import {
  type KeySources,
  type KeySourcesOptions,
  openKeySources,
  type PlaceToStart,
} from '../../src/hsm/key-sources.ts';
import type { Refusals } from '../../src/hsm/key-state.ts';
import type { RememberedInventories } from '../../src/hsm/remembered-inventory.ts';
import type { KeySource, TokenSource } from '../../src/hsm/source-kinds.ts';
import { verifySignature } from '../../src/hsm/verify-signature.ts';
import type { Event } from '../../src/log/events.ts';
import { Authority } from './support/authority.ts';
import { type FakeKey, FakePlace, fakeKey, OUT } from './support/fake-place.ts';
import { present, refusal } from './support/key-behaviour.ts';

const authority = new Authority();
const SHA256: SignatureScheme = { kind: 'ecdsa', digest: 'sha256' };
const BY_RSA: SignatureScheme = { kind: 'rsa-pkcs1', digest: 'sha256' };
const keys = {} as Record<'alice' | 'bob' | 'renewed' | 'rsa', FakeKey>;
let events: Event[];
let places: Map<string, FakePlace[]>;
let now: number;
const opened: KeySources[] = [];

beforeAll(() => {
  for (const name of ['alice', 'bob'] as const) {
    authority.newKey(`${name}.key`, 'p256');
    authority.certify(name, { address: `${name}@example.org` });
    keys[name] = fakeKey(authority, name);
  }
  authority.newKey('rsa.key', 'rsa');
  authority.certify('rsa', { address: 'rsa@example.org' });
  keys.rsa = fakeKey(authority, 'rsa');
  // The same key under a certificate of next year.
  authority.certifyPublicKey('alice.pub', 'renewed.crt', { address: 'alice@example.org', days: 20 });
  authority.openssl('pkey', '-in', authority.path('alice.key'), '-out', authority.path('renewed.key'));
  keys.renewed = fakeKey(authority, 'renewed', { label: 'alice' });
});

beforeEach(() => {
  events = [];
  places = new Map();
  now = 0;
});

afterAll(async () => {
  await Promise.all(opened.map((sources) => sources.close()));
  authority.remove();
});

const TOKEN: TokenSource = {
  kind: 'token',
  module: '/usr/lib/example.so',
  environment: {},
  token: { label: 'card', serial: null, model: null, manufacturer: null, reader: null },
  objects: { object: null, id: null },
  pin: { ask: 'pinentry', program: null },
  removable: false,
  sessions: 1,
  certificates: [],
};
const CARD: TokenSource = { ...TOKEN, removable: true };
const FILE = { kind: 'pkcs12', file: '/keys/a.p12', password: { env: 'PASSWORD' } } as const;

function source(
  name: string,
  sourcePlaces: KeySource['places'],
  changes: Partial<KeySource> = {},
): KeySource {
  return { name, use: 'sign-and-decrypt', usesPerMinute: null, places: sourcePlaces, ...changes };
}

/** Opens sources over places that the test has prepared, in the order of the configuration. */
async function open(
  sources: readonly KeySource[],
  prepare: (place: FakePlace, source: string, index: number) => void = () => undefined,
  options: Partial<KeySourcesOptions> = {},
): Promise<KeySources> {
  const startPlace = ({ source: name }: PlaceToStart): FakePlace => {
    const place = new FakePlace();
    const ofSource = places.get(name) ?? [];
    places.set(name, ofSource);
    prepare(place, name, ofSource.push(place) - 1);
    return place;
  };
  const log = { write: (event: Event) => void events.push(event) };
  const sourcesOpened = await openKeySources(sources, {
    log,
    startPlace,
    clock: () => new Date(now),
    ...options,
  });
  opened.push(sourcesOpened);
  return sourcesOpened;
}

function place(name: string, index = 0): FakePlace {
  return present(places.get(name)?.[index]);
}

const labels = (list: readonly { label: string }[]): string[] => list.map(({ label }) => label);
const named = <N extends Event['event']>(name: N) =>
  events.filter((event): event is Extract<Event, { event: N }> => event.event === name);

function memory(): RememberedInventories & { texts: Map<string, string> } {
  const texts = new Map<string, string>();
  return {
    texts,
    read: async (at) => texts.get(at) ?? null,
    write: async (at, text) => void texts.set(at, text),
  };
}

describe('the start', () => {
  test('does not wait for a card; its keys are there when it is', async () => {
    const sources = await open([source('card', [CARD])]);
    expect(sources.signing).toEqual([]);
    expect(sources.unseen.get('card')).toMatch(/Nobody has seen the keys of card yet\. .*being opened/);
    const { version } = sources;
    place('card').remove();
    expect(sources.unseen.get('card')).toMatch(/insert it/);
    place('card').insert([keys.alice]);
    expect(labels(sources.signing)).toEqual(['card/alice']);
    expect(labels(sources.decryption)).toEqual(['card/alice']);
    expect(sources.version).toBeGreaterThan(version);
    expect(sources.unseen.size).toBe(0);
  });

  test('of a command waits for cards too', async () => {
    const { promise, resolve } = Promise.withResolvers<FakePlace>();
    const opening = open([source('card', [CARD])], resolve, { awaitRemovable: true });
    (await promise).insert([keys.alice]);
    expect(labels((await opening).signing)).toEqual(['card/alice']);
  });

  test.each([
    ['absent', (at: FakePlace) => at.remove({ ...OUT, code: 'key.token-absent' }), 'key.token-absent'],
    ['refused', (at: FakePlace) => at.refuse({ ...OUT, code: 'key.pin-incorrect' }), 'key.pin-incorrect'],
  ] as const)(
    'stops where what is always there is %s, and leaves nothing running',
    async (_, prepare, code) => {
      const starting = open([source('file', [FILE]), source('hsm', [TOKEN])], (at, name) => {
        if (name === 'hsm') prepare(at);
        else at.insert([keys.alice], null);
      });
      expect(await refusal(starting)).toMatchObject({ code });
      expect([place('file').closed, place('hsm').closed]).toEqual([1, 1]);
    },
  );

  test('of two tokens with one identity one may be away, which is told', async () => {
    const sources = await open([source('hsm', [TOKEN, TOKEN])], (at, _, index) => {
      if (index === 0) at.remove(unavailable('It is away.', 'no route to it', true));
      else at.insert([keys.alice]);
    });
    expect(labels(sources.signing)).toEqual(['hsm/alice']);
    expect(named('key.place-absent')).toMatchObject([{ source: 'hsm', reason: 'no route to it' }]);
  });

  test('of two tokens none may refuse its PIN: that is a mistake and no outage', async () => {
    const starting = open([source('hsm', [TOKEN, TOKEN])], (at, _, index) => {
      if (index === 0) at.refuse({ ...OUT, code: 'key.pin-incorrect' });
      else at.insert([keys.alice]);
    });
    expect(await refusal(starting)).toMatchObject({ code: 'key.pin-incorrect' });
  });

  test('stops at a file whose keys are of no use', async () => {
    const useless = (use: KeySource['use']) =>
      open([source('file', [FILE], { use })], (at) =>
        at.insert([fakeKey(authority, 'alice', { schemes: [], opens: [] })], null),
      );
    expect(await refusal(useless('sign-and-decrypt'))).toMatchObject({ code: 'key.useless' });
    const mlDsa = open([source('file', [FILE])], (at) =>
      at.insert(
        [
          fakeKey(authority, 'alice', {
            schemes: [{ kind: 'ml-dsa', parameterSet: 'ML-DSA-65' }],
            opens: [],
          }),
        ],
        null,
      ),
    );
    expect((await refusal(mlDsa)).publicText).toContain('smime.postQuantum');
  });

  test('that waits for a person ends when it is told to, and nothing is left running', async () => {
    const stop = new AbortController();
    const opening = open([source('hsm', [TOKEN]), source('file', [FILE])], () => undefined, {
      signal: stop.signal,
    });
    const failure = refusal(opening);
    await new Promise((resolve) => setImmediate(resolve));
    stop.abort();
    expect((await failure).code).toBe('key.unavailable');
    for (const name of ['hsm', 'file']) expect(place(name).state.kind).toBe('closed');
  });

  test('a place that cannot even be started ends the others', async () => {
    const starting = open([source('file', [FILE]), source('hsm', [TOKEN])], (at, name) => {
      if (name === 'hsm') throw new TypeError('defect');
      at.insert([keys.alice], null);
    });
    await expect(starting).rejects.toThrow('defect');
    expect(place('file').closed).toBe(1);
  });
});

describe('names', () => {
  test('the one key of a file is called as its source, several by their labels', async () => {
    const sources = await open(
      [source('one', [FILE]), source('two', [FILE]), source('hsm', [TOKEN])],
      (at, name) =>
        at.insert(name === 'two' ? [keys.alice, keys.bob] : [keys.alice], name === 'hsm' ? {} : null),
    );
    expect(labels(sources.signing)).toEqual(['one', 'two/alice', 'two/bob', 'hsm/alice']);
  });

  test('are told apart by certificate where labels are the same, and by CKA_ID where there are none', async () => {
    const alike = [keys.alice, keys.renewed];
    const nameless = { ...keys.bob, label: '', id: '0a' };
    const sources = await open([source('card', [CARD])], (at) => at.insert([...alike, nameless]));
    const prints = alike.map((key) =>
      sources.signing.find(({ certificate }) => certificate.der.equals(key.certificate)),
    );
    expect(labels(sources.signing)).toEqual([
      ...prints.map((key) => `card/alice (${present(key).certificate.fingerprint.slice(0, 8)})`),
      'card/0a',
    ]);
    expect(new Set(labels(sources.signing)).size).toBe(3);
  });

  test('a source for signing has nothing that decrypts, an archive nothing that signs', async () => {
    const sources = await open(
      [source('signer', [TOKEN], { use: 'sign' }), source('archive', [TOKEN], { use: 'decrypt' })],
      (at) => at.insert([keys.alice]),
    );
    expect(labels(sources.signing)).toEqual(['signer/alice']);
    expect(labels(sources.decryption)).toEqual(['archive/alice']);
  });

  test('a certificate that cannot be read hides no other', async () => {
    const broken = { ...keys.bob, certificate: Buffer.from('nonsense') };
    const sources = await open([source('card', [CARD])], (at) => at.insert([broken, keys.alice]));
    expect(labels(sources.signing)).toEqual(['card/alice']);
  });

  test('intermediates come from every certificate of the source', async () => {
    const issuer = authority.openssl('x509', '-in', authority.path('intermediate.crt'), '-outform', 'DER');
    const sources = await open([source('hsm', [TOKEN, TOKEN])], (at, _, index) =>
      index === 0 ? at.insert([keys.alice]) : at.insert([], { certificates: [issuer] }),
    );
    expect(present(sources.signing[0]).chain).toHaveLength(1);
  });
});

describe('the use of a key', () => {
  test('signs what OpenSSL verifies; what is long is hashed before', async () => {
    const sources = await open([source('card', [CARD])], (at) => at.insert([keys.rsa]));
    const key = present(sources.signing[0]);
    const short = randomBytes(64 * 1024);
    const long = randomBytes(64 * 1024 + 1);
    const signature = await key.sign(BY_RSA, short);
    expect(await verifySignature(key.certificate.publicKey, BY_RSA, short, signature)).toBe(true);
    // The fake would hash again; what is asked here is what it is sent.
    await key.sign(BY_RSA, long);
    expect(place('card').used).toMatchObject([
      { kind: 'sign', input: 'message' },
      { kind: 'sign', input: 'digest' },
    ]);
    const [, second] = place('card').used;
    expect(second?.kind === 'sign' ? second.data : []).toHaveLength(32);
  });

  test('a scheme that it has not is refused before anything is asked', async () => {
    const sources = await open([source('card', [CARD])], (at) => at.insert([keys.alice]));
    expect(await refusal(present(sources.signing[0]).sign(BY_RSA, Buffer.from('x')))).toMatchObject({
      code: 'key.refused',
    });
    expect(place('card').used).toEqual([]);
  });

  test('attack: a certificate for another key never leaves with a signature of this one', async () => {
    const crossed = { ...keys.alice, privateKey: keys.bob.privateKey };
    const sources = await open([source('card', [CARD])], (at) => at.insert([crossed]));
    const key = present(sources.signing[0]);
    for (let count = 0; count < 2; count++) {
      expect(await refusal(key.sign(SHA256, Buffer.from('x')))).toMatchObject({
        code: 'key.refused',
        publicText: expect.stringContaining('does not belong to its certificate'),
      });
    }
  });

  test('the first signature of each process is checked, and only that', async () => {
    const sources = await open([source('card', [CARD])], (at) => at.insert([keys.alice]));
    const key = present(sources.signing[0]);
    await key.sign(SHA256, Buffer.from('x'));
    place('card').insert([{ ...keys.alice, privateKey: keys.bob.privateKey }]);
    await key.sign(SHA256, Buffer.from('x'));
    place('card').generation = 2;
    expect(await refusal(key.sign(SHA256, Buffer.from('x')))).toMatchObject({ code: 'key.refused' });
  });

  test('attack: an originator key that is not on the curve never reaches the token', async () => {
    const sources = await open([source('card', [CARD])], (at) => at.insert([keys.alice]));
    const key = present(sources.decryption[0]);
    const spki = Buffer.from(keys.bob.privateKey.export({ format: 'der', type: 'pkcs8' }));
    expect(await refusal(key.agree(spki))).toMatchObject({ code: 'key.decrypt-failed' });
    const good = present(sources.signing[0]).certificate.subjectPublicKeyInfo;
    const off = Buffer.from(good);
    off.writeUInt8(off.readUInt8(off.length - 1) ^ 1, off.length - 1);
    expect(await refusal(key.agree(off))).toMatchObject({ code: 'key.decrypt-failed' });
    expect(place('card').used).toEqual([]);
    expect(await key.agree(good)).toHaveLength(32);
  });

  test('an RSA key without OAEP says so and refuses it', async () => {
    const sources = await open([source('card', [CARD])], (at) =>
      at.insert([{ ...keys.rsa, opens: ['rsa-pkcs1'] }]),
    );
    const key = present(sources.decryption[0]);
    expect(key.readsOaep).toBe(false);
    const oaep = {
      kind: 'rsa-oaep',
      digest: 'sha256',
      maskDigest: 'sha256',
      label: Buffer.alloc(0),
    } as const;
    expect(await refusal(key.decryptKey(oaep, Buffer.alloc(256)))).toMatchObject({ code: 'key.refused' });
    expect(await refusal(key.decapsulate(Buffer.alloc(9)))).toMatchObject({ code: 'key.refused' });
    expect(await refusal(key.agree(Buffer.alloc(9)))).toMatchObject({ code: 'key.refused' });
  });
});

describe('several tokens with one identity', () => {
  async function pair(...held: readonly FakeKey[][]): Promise<KeySources> {
    return await open([source('hsm', [TOKEN, TOKEN])], (at, _, index) =>
      at.insert(held[index] ?? held[0] ?? [keys.alice]),
    );
  }
  const sign = (sources: KeySources) => present(sources.signing[0]).sign(SHA256, Buffer.from('x'));

  test('are one key, and the least loaded serves', async () => {
    const sources = await pair();
    expect(labels(sources.signing)).toEqual(['hsm/alice']);
    place('hsm', 0).load = 2;
    place('hsm', 1).load = 1;
    await sign(sources);
    expect([place('hsm', 0).used.length, place('hsm', 1).used.length]).toEqual([0, 1]);
  });

  test('share the load: requests at the same time go to both', async () => {
    const sources = await pair();
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const index of [0, 1]) place('hsm', index).gate = promise;
    const signatures = Promise.all(Array.from({ length: 10 }, () => sign(sources)));
    await Promise.resolve();
    resolve();
    expect(await signatures).toHaveLength(10);
    expect([place('hsm', 0).used.length, place('hsm', 1).used.length]).toEqual([5, 5]);
  });

  test.each(['key.unavailable', 'key.pin-incorrect', 'key.pin-locked', 'key.pin-needed'])(
    'one stands in where another fails with %s',
    async (code) => {
      const sources = await pair();
      place('hsm', 0).trouble = errorOf({ ...OUT, code });
      place('hsm', 1).load = 5;
      await sign(sources);
      expect([place('hsm', 0).used.length, place('hsm', 1).used.length]).toEqual([1, 1]);
    },
  );

  test('each is tried once, and the first failure is told', async () => {
    const sources = await pair();
    place('hsm', 0).trouble = errorOf({ ...OUT, publicText: 'The first is away.' });
    place('hsm', 1).trouble = errorOf({ ...OUT, code: 'key.pin-incorrect' });
    place('hsm', 1).load = 1;
    expect(await refusal(sign(sources))).toMatchObject({ publicText: 'The first is away.' });
    expect([place('hsm', 0).used.length, place('hsm', 1).used.length]).toEqual([1, 1]);
  });

  test.each(['key.refused', 'key.decrypt-failed'])('none stands in for %s', async (code) => {
    const sources = await pair();
    place('hsm', 0).trouble = errorOf({ ...refused('no'), code });
    expect(await refusal(sign(sources))).toMatchObject({ code });
    expect(place('hsm', 1).used).toEqual([]);
  });

  test('the one that is there goes before the one that asks for a PIN, that is being replaced or is out', async () => {
    const sources = await pair();
    const [first, second] = [place('hsm', 0), place('hsm', 1)];
    second.load = 9;
    first.remove();
    await sign(sources);
    first.insert([keys.alice]);
    first.processId = null;
    await sign(sources);
    first.insertLocked([keys.alice]);
    first.processId = 1;
    await sign(sources);
    expect([first.used.length, second.used.length]).toEqual([0, 3]);
    expect(present(sources.signing[0]).standing).toBe('open');
    second.remove();
    expect(present(sources.signing[0]).standing).toBe('locked');
    first.remove();
    expect(present(sources.signing[0]).standing).toBe('away');
  });

  test('a key is open where nobody is asked for a PIN at its use', async () => {
    const sources = await pair();
    const [first, second] = [place('hsm', 0), place('hsm', 1)];
    const isOpen = (): boolean | undefined => present(sources.decryption[0]).isOpen;
    const isThere = (): boolean | undefined => present(sources.decryption[0]).isThere;
    expect(isOpen()).toBe(true);
    first.remove();
    expect(isOpen()).toBe(true);
    second.remove();
    expect([isOpen(), isThere()]).toEqual([false, false]);
    second.insertLocked([keys.alice]);
    expect([isOpen(), isThere()]).toEqual([false, false]);
    second.insert([{ ...keys.alice, alwaysAuthenticate: true }]);
    expect([isOpen(), isThere()]).toEqual([false, true]);
    second.processId = null;
    expect(isThere()).toBe(false);
  });

  test('a key that only one holds works, there', async () => {
    const sources = await pair([keys.alice], [keys.bob]);
    expect(labels(sources.signing)).toEqual(['hsm/alice', 'hsm/bob']);
    await present(sources.signing[1]).sign(SHA256, Buffer.from('x'));
    expect([place('hsm', 0).used.length, place('hsm', 1).used.length]).toEqual([0, 1]);
  });

  test('what only one of them can do is asked of that one', async () => {
    const simple = { ...keys.rsa, schemes: [BY_RSA] };
    const sources = await pair([simple], [keys.rsa]);
    const pss: SignatureScheme = { kind: 'rsa-pss', digest: 'sha256', saltOctets: 32 };
    expect(present(sources.signing[0]).schemes[0]).toEqual(BY_RSA);
    await present(sources.signing[0]).sign(pss, Buffer.from('x'));
    expect([place('hsm', 0).used.length, place('hsm', 1).used.length]).toEqual([0, 1]);
  });

  test('one with a renewed certificate serves the old one too', async () => {
    const sources = await pair([keys.alice], [keys.renewed]);
    expect(sources.signing).toHaveLength(2);
    place('hsm', 0).remove();
    for (const key of sources.signing) {
      const signature = await key.sign(SHA256, Buffer.from('x'));
      expect(await verifySignature(key.certificate.publicKey, SHA256, Buffer.from('x'), signature)).toBe(
        true,
      );
    }
    expect(place('hsm', 1).used).toHaveLength(2);
  });

  test('removal under load: everything that was asked is signed by the other', async () => {
    const sources = await pair();
    const { promise, resolve } = Promise.withResolvers<void>();
    place('hsm', 0).gate = promise;
    const signatures = Promise.all(Array.from({ length: 20 }, () => sign(sources)));
    await Promise.resolve();
    const inside = place('hsm', 0).load;
    expect(inside).toBeGreaterThan(0);
    place('hsm', 0).remove();
    resolve();
    expect(await signatures).toHaveLength(20);
    expect(place('hsm', 1).used).toHaveLength(20);
  });
});

describe('a card', () => {
  test('taken out leaves its keys known, and their use fails for now', async () => {
    const sources = await open([source('card', [CARD])], (at) => at.insert([keys.alice]));
    const { version } = sources;
    const before = present(sources.signing[0]);
    place('card').remove();
    expect(sources.version).toBe(version);
    expect(labels(sources.signing)).toEqual(['card/alice']);
    for (const key of [before, present(sources.signing[0])]) {
      expect(await refusal(key.sign(SHA256, Buffer.from('x')))).toMatchObject({ duration: 'temporary' });
    }
    place('card').insert([keys.alice]);
    expect(sources.version).toBe(version);
    await before.sign(SHA256, Buffer.from('x'));
  });

  test('changed for another takes its keys away from whoever still holds one', async () => {
    const sources = await open([source('card', [CARD])], (at) => at.insert([keys.alice]));
    const { version } = sources;
    const before = present(sources.signing[0]);
    place('card').remove().insert([keys.bob], { serial: '0002' });
    expect(sources.version).toBeGreaterThan(version);
    expect(labels(sources.signing)).toEqual(['card/bob']);
    expect(await refusal(before.sign(SHA256, Buffer.from('x')))).toMatchObject({
      code: 'key.unavailable',
      publicText: expect.stringContaining('no longer on the token'),
    });
    expect(place('card').used).toEqual([]);
  });

  test('before login shows fewer certificates than after it: what is known stays known', async () => {
    const sources = await open([source('card', [CARD])], (at) => at.insert([keys.alice, keys.rsa]));
    place('card').remove().insertLocked([keys.alice]);
    expect(labels(sources.signing)).toEqual(['card/alice', 'card/rsa']);
    place('card').remove().insertLocked([keys.alice, keys.bob]);
    expect(labels(sources.signing)).toEqual(['card/alice', 'card/bob']);
    place('card').remove().insertLocked([keys.alice], { serial: '0002' });
    expect(labels(sources.signing)).toEqual(['card/alice']);
  });

  test('attack: another card in its place makes nobody forget it, over a restart too', async () => {
    const remembered = memory();
    const first = await open([source('card', [CARD])], (at) => at.insert([keys.alice]), { remembered });
    expect(first.former).toEqual([]);
    place('card').insertLocked([], { serial: '0002' });
    place('card').insert([keys.bob], { serial: '0003' }).remove();
    await first.close();
    const sources = await open([source('card', [CARD])], (at) => at.remove(), { remembered });
    for (const each of [first, sources]) {
      expect(labels(each.signing)).toEqual(['card/bob']);
      expect(each.former).toMatchObject([{ source: 'card', name: 'alice', label: 'card/alice' }]);
      expect(labels(each.formerDecryption)).toEqual(['card/alice']);
      expect(each.formerDecryption[0]).toMatchObject({ standing: 'away' });
    }
    place('card', 1).insert([keys.alice]);
    expect(labels(sources.signing)).toEqual(['card/alice']);
    expect(labels(sources.former)).toEqual(['card/bob']);
  });

  test('attack: a hundred cards in its place leave a handful behind', async () => {
    const remembered = memory();
    const sources = await open([source('card', [CARD])], (at) => at.insert([keys.alice]), { remembered });
    for (let serial = 0; serial < 100; serial++)
      place('card').insertLocked([keys.bob], { serial: `x${serial}` });
    expect(sources.former).toHaveLength(4);
    await sources.close();
    for (const text of remembered.texts.values()) expect(text.length).toBeLessThan(20_000);
  });

  test('is told of when it comes and goes, once each', async () => {
    const sources = await open([source('card', [CARD])], (at) => at.remove());
    place('card').insertLocked([keys.alice]).insert([keys.alice]).remove().remove().insert([keys.alice]);
    await sources.close();
    const told = events.map(({ event }) => event);
    expect(told).toEqual(['key.token-inserted', 'key.token-removed', 'key.token-inserted']);
    expect(events[0]).toMatchObject({ source: 'card', token: 'card', reader: 'Reader 00' });
  });

  test('that is out is known after a restart, and its first insertion brings nothing new', async () => {
    const remembered = memory();
    const first = await open([source('card', [CARD])], (at) => at.insert([keys.alice]), { remembered });
    await first.close();
    const sources = await open([source('card', [CARD])], (at) => at.remove({ ...OUT }), { remembered });
    expect(sources.unseen.size).toBe(0);
    const key = present(sources.signing[0]);
    expect(await refusal(key.sign(SHA256, Buffer.from('x')))).toMatchObject({ duration: 'temporary' });
    const { version } = sources;
    place('card', 1).insert([keys.alice]);
    expect(sources.version).toBe(version);
    await key.sign(SHA256, Buffer.from('x'));
  });

  test('is remembered for its own source and choice of token alone, and only what is public of it', async () => {
    const remembered = memory();
    const first = await open([source('card', [CARD])], (at) => at.insert([keys.alice]), { remembered });
    await first.close();
    const [text = ''] = remembered.texts.values();
    expect(text).not.toContain(keys.alice.privateKey.export({ format: 'jwk' }).d ?? 'no private key');
    const other = { ...CARD, token: { ...CARD.token, label: 'other' } };
    for (const changed of [source('x', [CARD]), source('card', [other])]) {
      const sources = await open([changed], (at) => at.remove(), { remembered });
      expect(sources.signing).toEqual([]);
    }
  });

  test.each(['', '{', '[]', '{"token":null}', 'x'.repeat(5_000_000)])(
    'of which %.20j is remembered is one that nobody has seen',
    async (text) => {
      const remembered = { read: async () => text, write: async () => undefined };
      const sources = await open([source('card', [CARD])], (at) => at.remove(), { remembered });
      expect(sources.unseen.has('card')).toBe(true);
    },
  );

  test('whose memory is away works without it, and that is told', async () => {
    const away = async () => {
      throw new SealgateError({ code: 'store.unavailable', publicText: 'Away.', duration: 'temporary' });
    };
    const sources = await open([source('card', [CARD])], (at) => at.insert([keys.alice]), {
      remembered: { read: away, write: away },
    });
    await present(sources.signing[0]).sign(SHA256, Buffer.from('x'));
    await sources.close();
    expect(named('key.inventory-not-remembered')).toHaveLength(2);
  });
});

describe('a limit of uses in a minute', () => {
  test('holds for one key, whoever uses it and by whichever certificate, and ends with the minute', async () => {
    const sources = await open([source('card', [CARD], { usesPerMinute: 3 })], (at) =>
      at.insert([keys.alice, keys.renewed, keys.bob]),
    );
    const [alice, renewed, bob] = sources.signing.map(present);
    const use = (key: typeof alice) => present(key).sign(SHA256, Buffer.from('x'));
    await use(alice);
    await use(renewed);
    await use(alice);
    expect(await refusal(use(renewed))).toMatchObject({ code: 'key.rate-limited', duration: 'temporary' });
    const agreed = present(sources.decryption[0]).agree(present(bob).certificate.subjectPublicKeyInfo);
    expect(await refusal(agreed)).toMatchObject({ code: 'key.rate-limited' });
    await use(bob);
    expect(place('card').used).toHaveLength(4);
    now += 19_999;
    expect(await refusal(use(alice))).toMatchObject({ code: 'key.rate-limited' });
    now += 1;
    await use(alice);
    now += 3_600_000;
    for (let count = 0; count < 3; count++) await use(alice);
    expect(await refusal(use(alice))).toMatchObject({ code: 'key.rate-limited' });
  });

  test('is not escaped by taking the card out, nor by a clock that is set back', async () => {
    const sources = await open([source('card', [CARD], { usesPerMinute: 1 })], (at) =>
      at.insert([keys.alice]),
    );
    await present(sources.signing[0]).sign(SHA256, Buffer.from('x'));
    place('card').remove().insert([keys.bob], { serial: '0002' }).remove().insert([keys.alice]);
    now -= 3_600_000;
    expect(await refusal(present(sources.signing[0]).sign(SHA256, Buffer.from('x')))).toMatchObject({
      code: 'key.rate-limited',
    });
  });
});

describe('refusals of PINs', () => {
  const trouble = async () => {
    throw new SealgateError({ code: 'store.unavailable', publicText: 'Away.', duration: 'temporary' });
  };

  async function given(refusals: Refusals | null): Promise<Refusals> {
    let received: Refusals | null = null;
    await open([source('card', [CARD])], () => undefined, {
      refusals,
      startPlace(start) {
        received = start.refusals;
        return new FakePlace().insert([keys.alice]);
      },
    });
    return present(received as Refusals | null);
  }

  test('are looked up and noted where they are kept, and known without that as well', async () => {
    const kept = new Set(['old']);
    const refusals = await given({ has: (one) => kept.has(one), add: (one) => void kept.add(one) });
    expect(await refusals.has('old')).toBe(true);
    expect(await refusals.has('new')).toBe(false);
    await refusals.add('new');
    expect(kept).toContain('new');
    const unkept = await given(null);
    await unkept.add('x');
    expect([await unkept.has('x'), await unkept.has('y')]).toEqual([true, false]);
  });

  /** Two entries for one token, as for two people's keys on one HSM. */
  async function twoEntries(): Promise<{ at: FakePlace; refusals: Refusals }[]> {
    const given: { at: FakePlace; refusals: Refusals }[] = [];
    const entries = ['a', 'b'].map((name) => source(name, [CARD]));
    await open(entries, () => undefined, {
      startPlace({ refusals }) {
        const at = new FakePlace();
        given.push({ at, refusals });
        return at;
      },
    });
    return given;
  }

  test('attack: a wrong PIN of two entries for one token is sent once, however soon the second one asks', async () => {
    const [first, second] = (await twoEntries()).map(present);
    expect(await first?.refusals.has('pin')).toBe(false);
    expect(await first?.refusals.has('pin')).toBe(false);
    const waits = second?.refusals.has('pin');
    await first?.refusals.add('pin');
    first?.at.refuse(OUT);
    expect(await waits).toBe(true);
  });

  test('the second of two entries goes on when the first one was let in, or is gone', async () => {
    for (const end of [(at: FakePlace) => at.insert([keys.alice]), (at: FakePlace) => at.remove()]) {
      const [first, second] = (await twoEntries()).map(present);
      expect(await first?.refusals.has('pin')).toBe(false);
      let answered = false;
      const waits = second?.refusals.has('pin') as Promise<boolean>;
      void waits.then(() => {
        answered = true;
      });
      await new Promise((resolve) => setImmediate(resolve));
      expect(answered).toBe(false);
      if (first !== undefined) end(first.at);
      expect(await waits).toBe(false);
    }
  });

  test('that cannot be looked up count as refused: the PIN stays here, and that is told', async () => {
    const refusals = await given({ has: trouble, add: trouble });
    expect(await refusals.has('any')).toBe(true);
    await refusals.add('any');
    expect(named('key.refusal-not-noted')).toHaveLength(2);
  });
});

describe('reloading', () => {
  test('a place that is read for ever holds up no other, and that is told', async () => {
    const sources = await open([source('a', [FILE]), source('b', [FILE])], (at) =>
      at.insert([keys.alice], null),
    );
    place('a').reload = () => new Promise(() => undefined);
    vi.useFakeTimers();
    try {
      const outcomes = sources.reload();
      await vi.advanceTimersByTimeAsync(30_000);
      expect(await outcomes).toMatchObject([
        { source: 'a', error: { code: 'key.reload-slow', duration: 'temporary' } },
        { source: 'b', error: null },
      ]);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
    expect(named('key.reload-failed')).toMatchObject([
      { source: 'a', reason: expect.stringContaining('still being read') },
    ]);
  });

  test('takes new keys; a source that cannot be read keeps its own, and both are told', async () => {
    const sources = await open([source('good', [FILE]), source('bad', [FILE])], (at) =>
      at.insert([keys.alice], null),
    );
    let told = 0;
    sources.onChange(() => told++);
    const error = new SealgateError({
      code: 'key.file-malformed',
      publicText: 'Broken.',
      duration: 'permanent',
    });
    place('bad').reloadTrouble = error;
    const reload = place('good').reload.bind(place('good'));
    place('good').reload = async () => {
      await reload();
      place('good').insert([keys.bob], null);
    };
    expect(await sources.reload()).toEqual([
      { source: 'good', place: '/keys/a.p12', error: null },
      { source: 'bad', place: '/keys/a.p12', error },
    ]);
    expect(told).toBe(1);
    expect(sources.signing.map(({ certificate }) => certificate.mailboxes[0])).toEqual([
      'bob@example.org',
      'alice@example.org',
    ]);
    expect(named('key.reloaded')).toMatchObject([{ source: 'good', keys: 1 }]);
    expect(named('key.reload-failed')).toMatchObject([{ source: 'bad', code: 'key.file-malformed' }]);
  });
});

test('the status names place, reader and what to do', async () => {
  const sources = await open([source('card', [CARD]), source('file', [FILE])], (at, name) =>
    name === 'file' ? at.insert([keys.alice], null) : at,
  );
  const card = () => sources.status[0]?.places[0];
  expect(card()).toMatchObject({ state: 'starting', place: 'card', reader: null, keys: null });
  place('card').remove();
  expect(card()).toMatchObject({ state: 'absent', sentence: OUT.publicText });
  place('card').insertLocked([keys.alice]);
  expect(card()).toMatchObject({ state: 'locked', reader: 'Reader 00', keys: 1, changes: true });
  expect(sources.status[1]).toMatchObject({
    name: 'file',
    places: [{ state: 'open', place: '/keys/a.p12' }],
  });
});
