import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { type LoadedConfig, loadConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-config-'));
  file = join(folder, 'gateway.yaml');
  for (const name of ['gateway.p12', 'password']) {
    await writeFile(join(folder, name), 'sesame\n', { mode: 0o600 });
  }
});
afterAll(() => rm(folder, { recursive: true }));

const archive = {
  ...{ name: 'sent', host: '127.0.0.1', port: 143, tls: 'none', login: '{login}*gateway' },
  password: { file: 'password' },
};

async function load(archives: object[], rule: object = {}, withQueue = true): Promise<LoadedConfig> {
  const upstream = { host: '127.0.0.1', port: 25, tls: 'none' };
  const submission = [{ name: 'submission', host: '127.0.0.1', port: 2587, tls: 'none', upstream }];
  const written = {
    hostname: 'gw.example.org',
    stateFolder: 'state',
    submission,
    keys: [{ name: 'gateway', kind: 'pkcs12', file: 'gateway.p12', password: { file: 'password' } }],
    policy: { rules: [{ name: 'all', sign: 'never', encrypt: 'never', ...rule }] },
    archives,
    ...(withQueue ? { queue: { key: 'gateway', address: 'gateway@example.org', server: upstream } } : {}),
  };
  await writeFile(file, stringify(written));
  return loadConfig(file, {});
}

async function problems(...given: Parameters<typeof load>): Promise<string> {
  const loaded = await load(...given);
  const found = loaded.kind === 'ok' ? loaded.warnings : loaded.problems;
  return found.map(formatProblem).join('\n').replaceAll(file, 'FILE');
}

describe('archives', () => {
  test('are what rules name', async () => {
    const loaded = await load([archive], { appendTo: 'sent' });
    expect(loaded.kind === 'ok' ? loaded.config.archives : loaded).toMatchObject([
      { name: 'sent', mailbox: 'Sent', ca: null, serverName: null, allowPlaintext: false },
    ]);
  });

  test.each<[string, Parameters<typeof load>, RegExp]>([
    [
      'a rule that names none',
      [[archive], { appendTo: 'other' }],
      /FILE:\d+:\d+: error: policy\.rules\[0\]\.appendTo: there is no archive of this name \(archives\): there are sent$/m,
    ],
    [
      'a rule for TLS only, and an archive without',
      [[archive], { appendTo: 'sent', requireTls: 'upstream' }],
      /appendTo: the rule says requireTls: upstream, and the archive sent is called without TLS/,
    ],
    ['no queue', [[archive], {}, false], /archives: this needs the section queue/],
    ['one name twice', [[archive, archive]], /archives\[1\]\.name: archives\[0\] has this name already/],
    [
      'another machine without TLS',
      [[{ ...archive, host: 'mail.example.org' }]],
      /archives\[0\]\.tls: without TLS the password and the mail can be read/,
    ],
    [
      'a name for TLS without TLS',
      [[{ ...archive, serverName: 'mail.example.org' }]],
      /archives\[0\]\.serverName: this says something only with TLS/,
    ],
    [
      'another word in braces',
      [[{ ...archive, login: '{user}*gateway' }]],
      /archives\[0\]\.login: of what stands in braces only \{login\}/,
    ],
    ['an archive that no rule names', [[archive]], /warning: archives\[0\]\.name: no rule says appendTo/],
    [
      'a login of two lines',
      [[{ ...archive, login: 'a\r\nb' }]],
      /archives\[0\]\.login: a login without control/,
    ],
    [
      'a mailbox of two lines',
      [[{ ...archive, mailbox: 'a\r\nA1 LOGOUT' }]],
      /archives\[0\]\.mailbox: the name of a mailbox/,
    ],
    [
      'a password in the file',
      [[{ ...archive, password: 'sesame' }]],
      /archives\[0\]\.password: (?!.*sesame)/,
    ],
  ])('%s is said, with its place', async (_, given, expected) => {
    expect(await problems(...given)).toMatch(expected);
  });
});
