import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Config, loadConfig } from '../../src/config/load.ts';
import { type ConfigProblem, formatProblem } from '../../src/config/problem.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealgate-config-'));
  writeFile('alice.p12', 'not read here', 0o600);
  writeFile('alice.password', 'correct horse\n', 0o600);
  writeFile('root.pem', 'not read here', 0o644);
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function writeFile(name: string, text: string | Buffer, mode: number): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

let count = 0;

async function load(text: string | Buffer, environment: NodeJS.ProcessEnv = {}) {
  const file = writeFile(`gateway-${count++}.yaml`, text, 0o644);
  return loadConfig(file, environment);
}

async function problemsOf(text: string | Buffer): Promise<readonly ConfigProblem[]> {
  const loaded = await load(text);
  return loaded.kind === 'ok' ? loaded.warnings : loaded.problems;
}

async function configOf(text: string, environment: NodeJS.ProcessEnv = {}): Promise<Config> {
  const loaded = await load(text, environment);
  if (loaded.kind === 'invalid') throw new Error(loaded.problems.map(formatProblem).join('\n'));
  return loaded.config;
}

/** Lines are counted from here. */
const SOUND = `hostname: GW.Example.org
stateFolder: state
submission:
  - name: submission
    host: 127.0.0.1
    port: 2587
    tls: none
    upstream: { host: 127.0.0.1, port: 25, tls: none }
keys:
  - { name: alice, kind: pkcs12, file: alice.p12, password: { file: alice.password } }
principals:
  list:
    - { login: alice, addresses: [alice@example.org], keys: [alice] }
trust: { anchors: [root.pem] }
policy:
  rules:
    - { name: all, sign: require, encrypt: if-possible }
`;

describe('a sound file', () => {
  test('has its defaults filled in and its paths made absolute from the file', async () => {
    const config = await configOf(SOUND);
    expect(config.hostname).toBe('gw.example.org');
    expect(config.stateFolder).toBe(join(folder, 'state'));
    expect(config.directory.file).toBe(join(folder, 'state', 'directory.sqlite'));
    expect(config.submission[0]).toMatchObject({ maxMessageSize: 50 * 1024 * 1024, maxConnections: 1000 });
    expect(config.imap).toEqual([]);
    expect(config.log).toEqual({ level: 'info', format: 'text', traceDays: 14 });
    expect(config.keys[0]?.places).toEqual([
      {
        kind: 'pkcs12',
        file: join(folder, 'alice.p12'),
        password: { file: join(folder, 'alice.password') },
      },
    ]);
    expect(config.policy.rules[0]).toMatchObject({
      withoutCertificate: 'refuse-all',
      form: 'clear',
      subject: 'keep',
      alreadyProtected: 'forward',
      minTrust: 'verified',
      when: { recipient: null, recipientDomain: null, sender: null, senderDomain: null, login: null },
    });
  });

  test('gives no warning', async () => {
    expect(await problemsOf(SOUND)).toEqual([]);
  });

  test('may use anchors for what repeats', async () => {
    const config = await configOf(
      SOUND.replace('upstream: {', 'upstream: &server {').replace(
        'keys:',
        'imap:\n  - { name: imap, host: 127.0.0.1, port: 2143, tls: none, upstream: *server }\nkeys:',
      ),
    );
    expect(config.imap[0]?.upstream).toEqual(config.submission[0]?.upstream);
  });

  test('writes domains of other scripts as they go over the wire', async () => {
    const config = await configOf(
      SOUND.replace('sign:', "when: { recipientDomain: ['*.Bücher.example'] }, sign:"),
    );
    expect(config.policy.rules[0]?.when.recipientDomain).toEqual(['*.xn--bcher-kva.example']);
  });
});

describe('problems', () => {
  test('are all told at once, each with its line and column', async () => {
    const problems = await problemsOf(
      SOUND.replace('hostname', 'hostnam')
        .replace('port: 2587', 'port: 70000')
        .replace('keys: [alice]', 'keys: [alise]')
        .replace('sign: require', 'sign: requires'),
    );
    const errors = problems.filter(({ severity }) => severity === 'error');
    expect(errors.map(({ line, column, path }) => `${line}:${column} ${path}`)).toEqual([
      '1:1 hostname',
      '1:1 ',
      '6:11 submission[0].port',
      '13:62 principals.list[0].keys[0]',
      '17:26 policy.rules[0].sign',
    ]);
    expect(errors[1]?.text).toContain('did you mean "hostname"?');
    expect(errors[2]?.text).toContain('1 to 65535');
    expect(errors[3]?.text).toContain('keys has alice');
    expect(errors[4]?.text).toContain('require, if-possible or never');
  });

  test('read like a compiler line', async () => {
    const [problem] = await problemsOf(SOUND.replace('tls: none', 'tls: off'));
    expect(problem && formatProblem(problem)).toMatch(
      /gateway-\d+\.yaml:7:10: error: submission\[0\]\.tls: starttls, implicit or none is expected/,
    );
  });

  test.each<[string, string | Buffer, number, RegExp]>([
    ['a key that is there twice', `${SOUND}hostname: twice.example.org\n`, 18, /twice/],
    ['an alias without anchor', SOUND.replace('[root.pem]', '*roots'), 14, /anchor/],
    ['a tag', SOUND.replace('name: all', 'name: !!js/function all'), 17, /tags/],
    ['a second document', `${SOUND}---\nhostname: x.example.org\n`, 18, /several YAML documents/],
    ['a tab as indentation', SOUND.replace('    host', '\thost'), 5, /tabs|blanks/],
    ['an open bracket', SOUND.replace('[root.pem]', '[root.pem'), 14, /bracket/],
    [
      'octets that are no text',
      Buffer.concat([Buffer.from(SOUND), Buffer.from([0x23, 0xff, 0x0a])]),
      18,
      /UTF-8/,
    ],
    ['a merge key', SOUND.replace('{ name: all,', '{ <<: {}, name: all,'), 17, /no "<<" here/],
    ['an unknown kind of key', SOUND.replace('pkcs12', 'p12'), 10, /pkcs12, pem, store, pkcs11 or card/],
    ['nothing where a map belongs', SOUND.replace(/ - \{ name: all.*\n/, ' -\n'), 17, /a map .* not nothing/],
    [
      'a size beyond the limit',
      SOUND.replace('tls: none\n', 'tls: none\n    maxMessageSize: 1025 MiB\n'),
      8,
      /1 KiB to 1 GiB/,
    ],
    ['an address without domain', SOUND.replace('alice@example.org', 'alice'), 13, /mail address/],
    ['a file that is not there', SOUND.replace('root.pem', 'gone.pem'), 14, /gone.pem does not exist/],
    ['a folder for a file', SOUND.replace('root.pem', '.'), 14, /is a folder/],
    ['an empty condition', SOUND.replace('sign:', 'when: { sender: [] }, sign:'), 17, /the list is empty/],
  ])('%s', async (_, text, line, sentence) => {
    const problems = await problemsOf(text);
    expect(problems.find((problem) => problem.line === line && sentence.test(problem.text))).toMatchObject({
      severity: 'error',
    });
  });

  test('a missing file is a problem like any other', async () => {
    const loaded = await loadConfig(join(folder, 'none.yaml'), {});
    expect(loaded).toMatchObject({ kind: 'invalid', problems: [{ line: 1, text: 'there is no such file' }] });
  });

  test('aliases that expand to gigabytes are refused at once', async () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x, x]'];
    for (const [from, to] of ['ab', 'bc', 'cd', 'de', 'ef', 'fg', 'gh', 'hi'].map((pair) => [...pair])) {
      bomb.push(`${to}: &${to} [${Array(10).fill(`*${from}`).join(', ')}]`);
    }
    const problems = await problemsOf(`${bomb.join('\n')}\n`);
    expect(problems).toMatchObject([
      { severity: 'error', text: expect.stringContaining('expand to too much') },
    ]);
  });

  test('control characters in a key do not reach the terminal', async () => {
    const problems = await problemsOf(`${SOUND}"\\e[2J\\u202e": 1\n`);
    const lines = problems.map(formatProblem).join('\n');
    expect(lines).toContain('\\u{1b}[2J\\u{202e}');
    expect(lines).not.toMatch(/[\x1b\u202e]/);
  });
});

describe('secrets', () => {
  const INLINE = 'PUKtJb3xqPzEw';

  test.each([
    ['as the value', SOUND.replace('{ file: alice.password }', INLINE)],
    ['as a number of quotes', SOUND.replace('{ file: alice.password }', `"${INLINE}`)],
    ['in a map', SOUND.replace('{ file: alice.password }', `{ value: ${INLINE} }`)],
    [
      'as file and environment',
      SOUND.replace('{ file: alice.password }', `{ file: a, env: b, x: ${INLINE} }`),
    ],
    ['under a misspelled key', SOUND.replace('password: {', `pasword: ${INLINE}, password: {`)],
    ['outside of the map', SOUND.replace('alice.password }', `alice.password } ${INLINE}`)],
  ])('written in the file are refused and not repeated: %s', async (_, text) => {
    const loaded = await load(text);
    expect(loaded.kind).toBe('invalid');
    expect(inspect(loaded, { depth: 10 })).not.toContain(INLINE);
  });

  test('are named by a file or an environment variable', async () => {
    const loaded = await problemsOf(SOUND.replace('{ file: alice.password }', INLINE));
    expect(loaded[0]?.text).toMatch(/not written in this file.*\{ file: path \}.*\{ env: NAME \}/);
    const config = await configOf(SOUND.replace('{ file: alice.password }', '{ env: ALICE }'), {
      ALICE: 'x y',
    });
    expect(config.keys[0]?.places).toMatchObject([{ password: { env: 'ALICE' } }]);
  });

  test('do not show when the configuration is printed', async () => {
    const config = await configOf(SOUND);
    expect(`${inspect(config, { depth: 10 })}${JSON.stringify(config)}`).not.toContain('correct horse');
  });

  test.each([
    ['alice.password', 0o640],
    ['alice.password', 0o604],
    ['alice.p12', 0o644],
  ])('%s readable by others (mode %o) is refused with what to do', async (name, mode) => {
    const other = writeFile(`open-${mode}-${name}`, 'secret\n', mode);
    const problems = await problemsOf(SOUND.replace(name, `open-${mode}-${name}`));
    expect(problems).toMatchObject([{ line: 10, text: expect.stringContaining(`chmod 600 ${other}`) }]);
  });

  test.each([
    ['is empty', '\n', /empty/],
    ['has several lines', 'one\ntwo\n', /one line/],
    ['is not text', Buffer.from([0xff, 0xfe, 0x0a]), /UTF-8/],
    ['is a disk image', Buffer.alloc(100_000, 0x61), /larger/],
  ])('a secret file that %s is refused', async (_, content, sentence) => {
    const name = `odd-${count}.password`;
    writeFile(name, content, 0o600);
    const tls = `tls: { certificate: root.pem, key: alice.p12, passphrase: { file: ${name} } }\n`;
    const problems = await problemsOf(tls + SOUND);
    expect(problems).toMatchObject([{ path: 'tls.passphrase.file', text: expect.stringMatching(sentence) }]);
  });

  test.each([
    ['is empty', '', /empty/],
    ['is a disk image', Buffer.alloc(100_000, 0x61), /larger/],
  ])(
    'that key processes read are only looked at: a file that %s is refused',
    async (_, content, sentence) => {
      const name = `odd-${count}.password`;
      writeFile(name, content, 0o600);
      const problems = await problemsOf(SOUND.replace('alice.password', name));
      expect(problems).toMatchObject([
        { path: 'keys[0].password.file', text: expect.stringMatching(sentence) },
      ]);
    },
  );

  test('an environment variable that is not set is named', async () => {
    const problems = await problemsOf(SOUND.replace('{ file: alice.password }', '{ env: NOT_SET }'));
    expect(problems).toMatchObject([
      { line: 10, path: 'keys[0].password.env', text: expect.stringContaining('NOT_SET') },
    ]);
  });
});

describe('settings that contradict each other', () => {
  const second = (text: string) => SOUND.replace('keys:\n', `imap:\n  - ${text}\nkeys:\n`);
  const upstream = 'upstream: { host: 127.0.0.1, port: 143, tls: none }';

  test.each([
    [
      'two listeners on one port',
      second(`{ name: i, host: 127.0.0.1, port: 2587, tls: none, ${upstream} }`),
      'imap[0].port',
      'error',
      /submission\[0\] listens/,
    ],
    [
      'a listener on all addresses meets one on a port of its own',
      second(`{ name: i, host: '::', port: 2587, tls: none, allowPlaintext: true, ${upstream} }`),
      'imap[0].port',
      'error',
      /submission\[0\] listens/,
    ],
    [
      'two listeners of one name',
      second(`{ name: submission, host: 127.0.0.1, port: 2143, tls: none, ${upstream} }`),
      'imap[0].name',
      'error',
      /name/,
    ],
    [
      'a listener without TLS beyond this machine',
      second(`{ name: i, port: 2143, tls: none, ${upstream} }`),
      'imap[0].tls',
      'error',
      /allowPlaintext/,
    ],
    [
      'a server without TLS beyond this machine',
      SOUND.replace('host: 127.0.0.1, port: 25', 'host: 127.0.0.1.example.org, port: 25'),
      'submission[0].upstream.tls',
      'error',
      /allowPlaintext/,
    ],
    [
      'authorities for a server without TLS',
      SOUND.replace('port: 25,', 'port: 25, ca: root.pem,'),
      'submission[0].upstream.ca',
      'error',
      /only with TLS/,
    ],
    [
      'TLS without a certificate',
      SOUND.replace('tls: none\n', 'tls: starttls\n'),
      'submission[0].tls',
      'error',
      /certificate/,
    ],
    [
      'a login twice',
      SOUND.replace('trust:', '    - { login: alice, addresses: [a@example.org] }\ntrust:'),
      'principals.list[1].login',
      'error',
      /already/,
    ],
    [
      'a key of two logins',
      SOUND.replace('trust:', '    - { login: bob, addresses: [b@example.org], keys: [alice] }\ntrust:'),
      'principals.list[1].keys[0]',
      'warning',
      /each can read/,
    ],
    [
      'a login without password beyond this machine',
      SOUND.replace('host: 127.0.0.1\n', 'host: 0.0.0.0\n    allowPlaintext: true\n    assumeLogin: alice\n'),
      'submission[0].assumeLogin',
      'error',
      /this machine only/,
    ],
    [
      'a login without password that nobody has',
      SOUND.replace('host: 127.0.0.1\n', 'host: 127.0.0.1\n    assumeLogin: eve\n'),
      'submission[0].assumeLogin',
      'warning',
      /no address/,
    ],
    ['a key of nobody', SOUND.replace(', keys: [alice]', ''), 'keys[0]', 'warning', /no login/],
    [
      'a login without address',
      SOUND.replace('addresses: [alice@example.org], ', ''),
      'principals.list[0]',
      'warning',
      /no address/,
    ],
    ['no anchors', SOUND.replace('[root.pem]', '[]'), 'trust', 'warning', /no trust anchors/],
    [
      'no rules',
      SOUND.replace(/ {4}- \{ name: all.*\n/, '    []\n'),
      'policy.rules',
      'warning',
      /every mail/,
    ],
    [
      'a rule behind one that always applies',
      `${SOUND}    - { name: late, sign: never, encrypt: never }\n`,
      'policy.rules[1]',
      'warning',
      /never reached/,
    ],
    [
      'two rules of one name',
      `${SOUND}    - { name: all, sign: never, encrypt: never }\n`,
      'policy.rules[1].name',
      'error',
      /already/,
    ],
    [
      'withoutCertificate where nothing is required',
      SOUND.replace('encrypt: if-possible', 'encrypt: if-possible, withoutCertificate: send-signed'),
      'policy.rules[0].withoutCertificate',
      'error',
      /only with encrypt: require/,
    ],
    [
      'send-signed where nothing is signed',
      SOUND.replace(
        'sign: require, encrypt: if-possible',
        'sign: never, encrypt: require, withoutCertificate: send-signed',
      ),
      'policy.rules[0].withoutCertificate',
      'error',
      /contradicts/,
    ],
    [
      'a hidden Subject where nothing is encrypted',
      SOUND.replace('encrypt: if-possible', 'encrypt: never, subject: protect'),
      'policy.rules[0].subject',
      'error',
      /only an encrypted mail/,
    ],
    ['no listener', SOUND.replace(/submission:[\s\S]*?keys:/, 'keys:'), '', 'error', /no listener/],
  ])('%s', async (_, text, path, severity, sentence) => {
    const problems = await problemsOf(text);
    expect(problems).toContainEqual(
      expect.objectContaining({ path, severity, text: expect.stringMatching(sentence) }),
    );
  });

  test.each(['127.0.0.1', '127.8.9.10', '::1', 'localhost'])('%s is this machine', async (host) => {
    const text = SOUND.replaceAll('127.0.0.1', `"${host}"`);
    expect(await problemsOf(text)).toEqual([]);
  });

  test('limits of sending that bound nothing', async () => {
    const limits = 'sendingLimits: { login: { minutes: 5 }, address: { messages: 9 } }';
    const found = await problemsOf(SOUND.replace('tls: none\n', `tls: none\n    ${limits}\n`));
    const text = expect.stringContaining('bounds nothing');
    expect(found).toEqual([expect.objectContaining({ path: 'submission[0].sendingLimits.login', text })]);
  });

  test('warnings alone do not keep a file from being used', async () => {
    const loaded = await load(SOUND.replace('[root.pem]', '[]'));
    expect(loaded).toMatchObject({ kind: 'ok', warnings: [{ line: 14, severity: 'warning' }] });
  });
});
