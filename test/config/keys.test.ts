import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { filesBeside } from '../../src/config/files.ts';
import { type Config, type LoadedConfig, parseConfig } from '../../src/config/load.ts';
import { type ConfigProblem, formatProblem } from '../../src/config/problem.ts';
import type { KeySource } from '../../src/hsm/source-kinds.ts';

const PIN = '739105';
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealgate-config-keys-'));
  for (const [name, mode] of [
    ['lib.so', 0o644],
    ['other.so', 0o644],
    ['alice.p12', 0o600],
    ['alice.key', 0o600],
    ['alice.crt', 0o644],
    ['pin', 0o600],
    ['pinentry', 0o755],
    ['open.so', 0o646],
    ['open.pin', 0o644],
  ] as const) {
    writeFileSync(join(folder, name), `${PIN}\n`);
    chmodSync(join(folder, name), mode);
  }
  mkdirSync(join(folder, 'store'), { mode: 0o700 });
  mkdirSync(join(folder, 'open-store'), { mode: 0o755 });
  symlinkSync('store', join(folder, 'linked-store'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string) => join(folder, name);

type Wish = {
  keys: readonly string[];
  principals?: readonly string[];
  loginIsAddress?: boolean;
  opensc?: boolean;
};

/** Keys start in line 8, principals follow. */
function load({ keys, principals = [], loginIsAddress = false, opensc = true }: Wish): LoadedConfig {
  const item = (text: string) => `  - ${text}\n`;
  const text = `hostname: gw.example.org
stateFolder: state
imap:
  - { name: imap, host: 127.0.0.1, port: 2143, tls: none, upstream: { host: 127.0.0.1, port: 143, tls: none } }
trust: { anchors: [alice.crt] }
policy: { rules: [] }
keys:
${keys.length === 0 ? '    []\n' : keys.map(item).join('')}principals:
  loginIsAddress: ${loginIsAddress}
  list:
${principals.length === 0 ? '    []\n' : principals.map((one) => `  ${item(one)}`).join('')}`;
  const files = filesBeside(at('gateway.yaml'), { CARD_PIN: PIN });
  const firstInstalled = () => (opensc ? '/opt/opensc-pkcs11.so' : null);
  return parseConfig(at('gateway.yaml'), text, { ...files, firstInstalled });
}

/** All logins have all keys unless it says otherwise. */
function configOf(...keys: readonly string[]): Config {
  const loaded = load({ keys });
  if (loaded.kind === 'invalid') throw new Error(loaded.problems.map(formatProblem).join('\n'));
  return loaded.config;
}

/** What the gateway opens: the type of the section is the one that src/hsm wants. */
function sourceOf(key: string): KeySource {
  const sources: readonly KeySource[] = configOf(key).keys;
  const [only] = sources;
  if (only === undefined) throw new Error('there is no key');
  return only;
}

function problemsOf(wish: Wish): readonly Pick<ConfigProblem, 'line' | 'path' | 'severity' | 'text'>[] {
  const loaded = load(wish);
  const problems = loaded.kind === 'ok' ? loaded.warnings : loaded.problems;
  return problems.filter(({ text }) => text !== 'no login may use this key' && !/no address/.test(text));
}

const ANY = { label: null, serial: null, model: null, manufacturer: null, reader: null };
const HSM = { kind: 'token', environment: {}, certificates: [], sessions: 4, removable: false };
const CARD = { ...HSM, removable: true, sessions: 1, module: '/opt/opensc-pkcs11.so' };
const ALL = { object: null, id: null };

describe('keys become what key processes open', () => {
  test.each<[string, KeySource['places']]>([
    [
      '{ name: k, kind: pkcs12, file: alice.p12, password: { file: pin } }',
      [{ kind: 'pkcs12', file: 'alice.p12', password: { file: 'pin' } }],
    ],
    [
      '{ name: k, kind: pkcs12, file: alice.p12, password: { env: CARD_PIN } }',
      [{ kind: 'pkcs12', file: 'alice.p12', password: { env: 'CARD_PIN' } }],
    ],
    [
      '{ name: k, kind: pem, certificate: alice.crt, key: alice.key }',
      [{ kind: 'pem', certificate: 'alice.crt', key: 'alice.key', passphrase: null }],
    ],
    [
      '{ name: k, kind: store, folder: store, unlock: { file: pin } }',
      [{ kind: 'store', folder: 'store', unlock: { file: 'pin' } }],
    ],
    [
      '{ name: k, kind: pkcs11, module: lib.so, token: staff, pin: { file: pin } }',
      [
        {
          ...HSM,
          kind: 'token',
          module: 'lib.so',
          token: { ...ANY, label: 'staff' },
          objects: ALL,
          pin: { file: 'pin' },
        },
      ],
    ],
    [
      '{ name: k, kind: pkcs11, module: lib.so, serial: "01", pin: { ask: console }, sessions: 16, environment: { A: b }, initArgs: x, certificates: [alice.crt] }',
      [
        {
          ...{ ...HSM, kind: 'token', module: 'lib.so', token: { ...ANY, serial: '01' }, objects: ALL },
          ...{ pin: { ask: 'console' }, sessions: 16, environment: { A: 'b' }, initArgs: 'x' },
          certificates: ['alice.crt'],
        },
      ],
    ],
    [
      '{ name: k, kind: card }',
      [{ ...CARD, kind: 'token', token: ANY, objects: ALL, pin: { ask: 'pinentry', program: null } }],
    ],
    [
      '{ name: k, kind: card, module: lib.so, token: A, reader: R, pin: { ask: pinentry, program: pinentry } }',
      [
        {
          ...{
            ...CARD,
            kind: 'token',
            module: 'lib.so',
            token: { ...ANY, label: 'A', reader: 'R' },
            objects: ALL,
          },
          pin: { ask: 'pinentry', program: 'pinentry' },
        },
      ],
    ],
    [
      '{ name: k, kind: card, serial: "01", pin: { env: CARD_PIN } }',
      [{ ...CARD, kind: 'token', token: { ...ANY, serial: '01' }, objects: ALL, pin: { env: 'CARD_PIN' } }],
    ],
  ])('%s', (key, places) => {
    const relative = JSON.parse(JSON.stringify(sourceOf(key).places).replaceAll(`${folder}/`, ''));
    expect(relative).toEqual(places);
  });

  test('with a use and a limit', () => {
    const source = sourceOf('{ name: k, kind: card, use: decrypt, usesPerMinute: 10 }');
    expect(source).toMatchObject({ name: 'k', use: 'decrypt', usesPerMinute: 10 });
    expect(sourceOf('{ name: k, kind: card }')).toMatchObject({
      use: 'sign-and-decrypt',
      usesPerMinute: null,
    });
  });

  test('from a PKCS #11 URI that says all', () => {
    const uri = `pkcs11:token=staff;serial=01;slot-description=R;object=alice;id=%0A?module-path=${at('lib.so')}&pin-source=file:${at('pin')}`;
    expect(sourceOf(`{ name: k, kind: pkcs11, uri: "${uri}" }`).places).toMatchObject([
      {
        module: at('lib.so'),
        token: { label: 'staff', serial: '01', reader: 'R' },
        objects: { object: 'alice', id: '0a' },
        pin: { file: at('pin') },
      },
    ]);
  });

  test('from several tokens, which have module and PIN in common or their own', () => {
    const tokens = `[{ token: a }, { token: b, pin: { env: CARD_PIN } }, { serial: "03", module: other.so }, { uri: "pkcs11:token=d?module-path=${at('other.so')}&pin-source=file:${at('pin')}" }]`;
    const { places } = sourceOf(
      `{ name: k, kind: pkcs11, module: lib.so, pin: { ask: pinentry }, sessions: 2, tokens: ${tokens} }`,
    );
    const asked = { ask: 'pinentry', program: null };
    expect(places).toMatchObject([
      { module: at('lib.so'), token: { label: 'a' }, pin: asked, sessions: 2 },
      { module: at('lib.so'), token: { label: 'b' }, pin: { env: 'CARD_PIN' } },
      { module: at('other.so'), token: { label: null, serial: '03' }, pin: asked },
      { module: at('other.so'), token: { label: 'd' }, pin: { file: at('pin') } },
    ]);
  });

  test('a key store is opened by the token that another entry is', () => {
    const hsm = '{ name: hsm, kind: pkcs11, module: lib.so, token: staff, pin: { file: pin } }';
    const [token, store] = configOf(
      hsm,
      '{ name: k, kind: store, folder: store, unlock: { key: hsm/wrapping/1 } }',
    ).keys;
    expect(store?.places).toEqual([
      { kind: 'store', folder: at('store'), unlock: { token: token?.places[0], label: 'wrapping/1' } },
    ]);
    // Nobody else needs that key.
    const loaded = load({ keys: [hsm, '{ name: k, kind: store, folder: store, unlock: { key: hsm } }'] });
    expect(loaded.kind === 'ok' && loaded.warnings.map(({ path }) => path)).not.toContain('keys[0]');
  });

  test('and nothing secret is in the configuration', () => {
    const config = configOf(
      '{ name: a, kind: pkcs12, file: alice.p12, password: { file: pin } }',
      '{ name: b, kind: card, serial: "01", pin: { env: CARD_PIN } }',
    );
    expect(inspect(config, { depth: 20, showHidden: true })).not.toContain(PIN);
  });
});

describe('keys that cannot be meant', () => {
  const hsm = (more: string) => `{ name: k, kind: pkcs11, module: lib.so, ${more} }`;
  const card = (more: string) => `{ name: k, kind: card, ${more} }`;

  test.each<[string, string, string, RegExp]>([
    [
      'a token without a module',
      '{ name: k, kind: pkcs11, token: a, pin: { file: pin } }',
      'module',
      /missing/,
    ],
    ['a token without a PIN', hsm('token: a'), 'pin', /missing/],
    ['a token that is not named', hsm('pin: { file: pin }'), 'token', /missing.*serial or uri/],
    [
      'a token named twice',
      hsm('token: a, uri: "pkcs11:token=a", pin: { file: pin }'),
      'token',
      /uri names the token/,
    ],
    ['a URI that fits every token', hsm('uri: "pkcs11:object=a", pin: { file: pin }'), 'uri', /which token/],
    [
      'two modules',
      hsm('uri: "pkcs11:token=a?module-path=/lib.so", pin: { file: pin }'),
      'module',
      /leave one/,
    ],
    ['two PINs', hsm('uri: "pkcs11:token=a?pin-source=file:/pin", pin: { file: pin }'), 'pin', /leave one/],
    [
      'a PIN in the URI',
      hsm(`uri: "pkcs11:token=a?pin-value=${PIN}", pin: { file: pin }`),
      'uri',
      /does not stand here/,
    ],
    ['half a URI', hsm('uri: "pkcs11:token=%2", pin: { file: pin }'), 'uri', /RFC 7512/],
    ['a slot number', hsm('uri: "pkcs11:slot-id=1", pin: { file: pin }'), 'uri', /after the next start/],
    [
      'a PIN file of the URI that others read',
      `{ name: k, kind: card, uri: "pkcs11:token=a?pin-source=file:FOLDER/open.pin" }`,
      'uri',
      /chmod 600/,
    ],
    [
      'a module of the URI that everybody can change',
      `{ name: k, kind: card, uri: "pkcs11:token=a?module-path=FOLDER/open.so" }`,
      'uri',
      /chmod o-w/,
    ],
    ['a module that everybody can change', card('module: open.so'), 'module', /chmod o-w/],
    ['a module that is not there', card('module: gone.so'), 'module', /does not exist/],
    ['a label longer than tokens have', card(`token: ${'€'.repeat(11)}`), 'token', /32 octets/],
    ['a serial number longer than tokens have', card(`serial: "${'1'.repeat(17)}"`), 'serial', /16 octets/],
    ['a serial number without quotation marks', card('serial: 0123'), 'serial', /quotation marks/],
    ['no sessions', hsm('token: a, pin: { file: pin }, sessions: 0'), 'sessions', /at least 1/],
    ['a PIN in the file', card(`serial: "01", pin: "${PIN}"`), 'pin', /not written in this file/],
    ['a PIN as a number', card(`serial: "01", pin: ${PIN}`), 'pin', /not written in this file/],
    ['a PIN that others read', card('serial: "01", pin: { file: open.pin }'), 'pin.file', /chmod 600/],
    ['a PIN of a variable that is not set', card('serial: "01", pin: { env: NO }'), 'pin.env', /not set/],
    ['a PIN from somebody else', card('pin: { ask: telepathy }'), 'pin', /exactly one of/],
    [
      'a pinentry that is not there',
      card('pin: { ask: pinentry, program: gone }'),
      'pin.program',
      /does not exist/,
    ],
    [
      'a pinentry that is no program',
      card('pin: { ask: pinentry, program: lib.so }'),
      'pin.program',
      /cannot be run/,
    ],
    ['a PIN that nobody types, for any card', card('pin: { file: pin }'), 'pin', /whatever card/],
    [
      'a PIN that nobody types, for any card in a reader',
      card('reader: R, pin: { env: CARD_PIN }'),
      'pin',
      /whatever card/,
    ],
    [
      'tokens and a token',
      hsm('token: a, tokens: [{ token: b }], pin: { file: pin }'),
      'token',
      /leave this out/,
    ],
    [
      'the same token twice',
      hsm('tokens: [{ token: b }, { token: b }], pin: { file: pin }'),
      'tokens[1]',
      /tokens\[0\]/,
    ],
    [
      'one of several tokens without a name',
      hsm('tokens: [{ token: b }, {}], pin: { file: pin }'),
      'tokens[1]',
      /missing/,
    ],
    [
      'a store that others look into',
      '{ name: k, kind: store, folder: open-store, unlock: { file: pin } }',
      'folder',
      /chmod 700/,
    ],
    [
      'a store behind a link',
      '{ name: k, kind: store, folder: linked-store, unlock: { file: pin } }',
      'folder',
      /name the folder itself/,
    ],
    [
      'a store that is a file',
      '{ name: k, kind: store, folder: alice.p12, unlock: { file: pin } }',
      'folder',
      /not a folder/,
    ],
    [
      'a store opened by nothing',
      '{ name: k, kind: store, folder: store, unlock: { key: none } }',
      'unlock.key',
      /no key of the name/,
    ],
    [
      'a store opened by itself',
      '{ name: k, kind: store, folder: store, unlock: { key: k } }',
      'unlock.key',
      /pkcs11/,
    ],
  ])('%s', (_, key, path, sentence) => {
    const keys = [key.replaceAll('FOLDER', folder)];
    const problems = problemsOf({ keys });
    expect(problems).toContainEqual(
      expect.objectContaining({ line: 8, severity: 'error', text: expect.stringMatching(sentence) }),
    );
    const found = problems.find(({ text }) => sentence.test(text));
    expect(found?.path).toMatch(new RegExp(`^keys\\[0\\]\\.${path.replaceAll(/[[\].]/g, '\\$&')}`));
    expect(inspect(problems)).not.toContain(PIN);
  });

  test('a card where OpenSC is not installed', () => {
    const [problem] = problemsOf({ keys: [card('token: A')], opensc: false });
    expect(problem).toMatchObject({
      path: 'keys[0]',
      severity: 'error',
      text: expect.stringContaining('module'),
    });
  });

  test.each([
    ['a card', card('token: A').replace('k,', 'opener,')],
    [
      'several tokens',
      hsm('tokens: [{ token: a }, { token: b }], pin: { file: pin }').replace('k,', 'opener,'),
    ],
    ['a key that only signs', hsm('token: a, pin: { file: pin }, use: sign').replace('k,', 'opener,')],
  ])('a store opened by %s', (_, opener) => {
    const store = '{ name: s, kind: store, folder: store, unlock: { key: opener } }';
    expect(problemsOf({ keys: [opener, store] })).toMatchObject([
      { line: 9, path: 'keys[1].unlock.key', severity: 'error' },
    ]);
  });

  test('two cards that ask on one terminal', () => {
    const keys = ['A', 'B'].map(
      (name) => `{ name: ${name}, kind: card, token: ${name}, pin: { ask: console } }`,
    );
    expect(problemsOf({ keys })).toMatchObject([{ path: 'keys[1].pin', severity: 'error' }]);
  });

  test.each<[string, string, string, 'error' | 'warning' | null]>([
    ['two for any card', '', '', 'error'],
    ['one for any card and one for Alice', '', 'token: A', 'error'],
    ['two for the same card', 'token: A', 'token: A', 'warning'],
    ['one by label and one by label and serial number', 'token: A', 'token: A, serial: "01"', 'warning'],
    ['one by label and one by reader', 'token: A', 'reader: R', 'warning'],
    ['one by label and one by serial number', 'token: A', 'serial: "01"', 'warning'],
    ['different cards', 'token: A', 'token: B', null],
    ['different cards, one of them in one reader', 'token: A, reader: R', 'token: B', null],
    ['different cards in one reader', 'reader: R, token: A', 'reader: R, token: B', null],
    ['cards of different libraries', 'module: lib.so', 'module: other.so', null],
  ])('two entries for one card: %s', (_, one, other, severity) => {
    const keys = [`{ name: a, kind: card, ${one} }`, `{ name: b, kind: card, ${other} }`];
    expect(problemsOf({ keys }).map((problem) => problem.severity)).toEqual(
      severity === null ? [] : [severity],
    );
  });

  test('two entries for one file', () => {
    const keys = ['a', 'b'].map(
      (name) => `{ name: ${name}, kind: pem, certificate: alice.crt, key: alice.key }`,
    );
    expect(problemsOf({ keys })).toMatchObject([{ path: 'keys[1]', severity: 'warning' }]);
  });
});

describe('who has which key (M5)', () => {
  const hsm = '{ name: hsm, kind: pkcs11, module: lib.so, token: staff, pin: { file: pin } }';
  const card = '{ name: hsm, kind: card }';
  const store = '{ name: hsm, kind: store, folder: store, unlock: { file: pin } }';
  const file = '{ name: hsm, kind: pkcs12, file: alice.p12, password: { file: pin } }';
  test.each<[string, string, string, string, 'error' | 'warning' | null]>([
    ['the same key of a token', hsm, 'hsm/a', 'hsm/a', 'warning'],
    ['a whole token', hsm, 'hsm', 'hsm', 'error'],
    ['a key of a token, and the whole token', hsm, 'hsm/a', 'hsm', 'error'],
    ['a whole token, and a key of it', hsm, 'hsm', 'hsm/a', 'error'],
    ['different keys of a token', hsm, 'hsm/a', 'hsm/b', null],
    ['keys whose names begin alike', hsm, 'hsm/a', 'hsm/a/b', null],
    ['a whole key store, and a key of it', store, 'hsm', 'hsm/a', 'error'],
    ['a card', card, 'hsm', 'hsm', 'error'],
    ['the same key of a card', card, 'hsm/a', 'hsm/a', 'error'],
    ['different keys of a card', card, 'hsm/a', 'hsm/b', null],
    ['a key of a card by its label and as log lines name it', card, 'hsm/a', 'hsm/a (0a1b2c3d)', 'error'],
    ['the same key of a token as log lines name it', hsm, 'hsm/a (0a1b2c3d)', 'hsm/a (0a1b2c3d)', 'warning'],
    ['a key of a token as log lines name it, and by its label', hsm, 'hsm/a (0a1b2c3d)', 'hsm/a', 'warning'],
    ['a file', file, 'hsm', 'hsm', 'warning'],
    ['a card that is meant to be shared', '{ name: hsm, kind: card, shared: true }', 'hsm', 'hsm', null],
    [
      'a token that is meant to be shared',
      hsm.replace('name: hsm', 'name: hsm, shared: true'),
      'hsm/a',
      'hsm',
      null,
    ],
  ])('two logins with %s', (_, key, one, other, severity) => {
    const principals = [
      `{ login: alice, addresses: [a@example.org], keys: ["${one}"] }`,
      `{ login: bob, addresses: [b@example.org], keys: ["${other}"] }`,
    ];
    const problems = problemsOf({ keys: [key], principals });
    expect(problems.map((problem) => [problem.severity, problem.path])).toEqual(
      severity === null ? [] : [[severity, 'principals.list[1].keys[0]']],
    );
  });

  test('one login may name a key twice', () => {
    const principals = ['{ login: alice, addresses: [a@example.org], keys: [hsm, hsm/a] }'];
    expect(problemsOf({ keys: [hsm], principals })).toEqual([]);
  });
});

describe('logins and addresses', () => {
  const hsm = '{ name: hsm, kind: pkcs11, module: lib.so, token: staff, pin: { file: pin } }';

  test('attack: a login in another spelling has no second entry', () => {
    const principals = [
      '{ login: bob@example.org, addresses: [b@example.org], keys: [hsm/a] }',
      '{ login: bob@EXAMPLE.org, addresses: [b@example.org], keys: [hsm/b] }',
    ];
    expect(problemsOf({ keys: [hsm], principals })).toMatchObject([
      { path: 'principals.list[1].login', severity: 'error', text: expect.stringContaining('is this login') },
    ]);
  });

  test.each(['"alice "', '"a\\u0007lice"', '"e\\u0301va"'])('a login that nobody has: %s', (login) => {
    const principals = [`{ login: ${login}, addresses: [b@example.org], keys: [hsm] }`];
    expect(problemsOf({ keys: [hsm], principals })).toMatchObject([
      {
        path: 'principals.list[0].login',
        severity: 'error',
        text: expect.stringContaining('log in with this'),
      },
    ]);
  });

  test.each(['a..b@example.org', 'a,b@example.org', 'a(b@example.org', 'a@Ｅxample.org'])(
    'an address that would belong to nobody: %s',
    (address) => {
      const principals = [`{ login: alice, addresses: ["${address}"], keys: [hsm] }`];
      expect(problemsOf({ keys: [hsm], principals })).not.toEqual([]);
    },
  );
});

describe('security profiles (M4)', () => {
  const keys = [
    '{ name: card, kind: card }',
    '{ name: archive, kind: pem, certificate: alice.crt, key: alice.key, use: decrypt }',
    '{ name: signer, kind: pkcs12, file: alice.p12, password: { file: pin }, use: sign }',
  ];
  const alice = (profile: string, more = 'keys: [card, archive, signer]') => [
    `{ login: alice, addresses: [alice@example.org], ${more}, profiles: [${profile}] }`,
  ];

  test('choose key and algorithms for an address', () => {
    const principals = alice(
      '{ address: alice@Example.org, sign: card/Signature, encrypt: archive, rsaSignature: pss, rsaKeyTransport: oaep }',
    );
    const loaded = load({ keys, principals });
    expect(loaded.kind === 'ok' && loaded.config.principals.list[0]?.profiles).toEqual([
      {
        ...{ address: 'alice@Example.org', sign: 'card/Signature', encrypt: 'archive' },
        ...{ rsaSignature: 'pss', rsaKeyTransport: 'oaep' },
      },
    ]);
  });

  test('of the address that the login is', () => {
    const principals = [
      '{ login: bob@example.org, profiles: [{ address: bob@example.org, rsaSignature: pss }] }',
    ];
    expect(problemsOf({ keys: [], principals, loginIsAddress: true })).toEqual([]);
    expect(problemsOf({ keys: [], principals })).toMatchObject([{ severity: 'error' }]);
  });

  test.each<[string, string, string, RegExp]>([
    ['an address of somebody else', '{ address: bob@example.org, sign: card }', '.address', /may not write/],
    [
      'an address that differs in its local part',
      '{ address: Alice@example.org, sign: card }',
      '.address',
      /may not write/,
    ],
    [
      'a key that is not there',
      '{ address: alice@example.org, sign: car }',
      '.sign',
      /no key of the name car/,
    ],
    [
      'an archived key that should sign',
      '{ address: alice@example.org, sign: archive }',
      '.sign',
      /cannot sign/,
    ],
    [
      'a signing key that should decrypt',
      '{ address: alice@example.org, encrypt: signer/a }',
      '.encrypt',
      /cannot open/,
    ],
    [
      'another word',
      '{ address: alice@example.org, rsaSignature: PSS }',
      '.rsaSignature',
      /did you mean pss/,
    ],
  ])('with %s are refused', (_, profile, path, sentence) => {
    expect(problemsOf({ keys, principals: alice(profile) })).toMatchObject([
      {
        line: 14,
        path: `principals.list[0].profiles[0]${path}`,
        severity: 'error',
        text: expect.stringMatching(sentence),
      },
    ]);
  });

  test('with a key that the login does not have are refused', () => {
    const profile = '{ address: alice@example.org, sign: card/b, encrypt: card }';
    const problems = problemsOf({ keys, principals: alice(profile, 'keys: [card/a]') });
    expect(problems.map(({ path, text }) => [path, text])).toEqual([
      ['principals.list[0].profiles[0].sign', expect.stringContaining('may not use this key')],
      ['principals.list[0].profiles[0].encrypt', expect.stringContaining('may not use this key')],
    ]);
  });

  test('two for one address, or one that says nothing, are told', () => {
    const one = '{ address: alice@example.org, sign: card }';
    expect(
      problemsOf({ keys, principals: alice(`${one}, ${one.replace('example', 'EXAMPLE')}`) }),
    ).toMatchObject([{ path: 'principals.list[0].profiles[1].address', severity: 'error' }]);
    expect(problemsOf({ keys, principals: alice('{ address: alice@example.org }') })).toMatchObject([
      { path: 'principals.list[0].profiles[0]', severity: 'warning' },
    ]);
  });
});
