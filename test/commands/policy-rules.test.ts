import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { reloadPolicy } from '../../src/commands/reload-policy.ts';
import { type Config, loadConfig } from '../../src/config/load.ts';
import { decideForRecipients } from '../../src/policy/decide-for-recipient.ts';
import { recordMail } from '../../src/policy/recorded-mail.ts';
import { DECISIONS, decisionMigrations, SqliteDecisions } from '../../src/store/decision-records.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { FakeLog } from '../pipeline/support/ports.ts';
import { facts, recipient, rule } from '../policy/facts.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-rules-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const REST = { name: 'rest', sign: 'never', encrypt: 'never' };

async function configured(name: string, policy: object, more: object = {}): Promise<string> {
  const file = join(folder, name);
  const settings = {
    hostname: 'gw.sealgate.test',
    stateFolder: join(folder, 'state'),
    submission: [
      {
        ...{ name: 'submission', host: '127.0.0.1', port: 0, tls: 'none' },
        upstream: { host: '127.0.0.1', port: 9, tls: 'none' },
      },
    ],
    principals: { list: [{ login: 'alice', addresses: ['alice@example.org'] }] },
    policy,
    ...more,
  };
  await writeFile(file, stringify(settings), { mode: 0o600 });
  return file;
}

async function run(...args: readonly string[]) {
  const child = spawn(process.execPath, [resolve('src/main.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = { out: '', error: '' };
  child.stdout.on('data', (text: Buffer) => (ended.out += text.toString()));
  child.stderr.on('data', (text: Buffer) => (ended.error += text.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...ended };
}

describe('sealgate policy replay', () => {
  test('lists the mails that other rules would treat otherwise', async () => {
    const config = await configured('replay.yaml', { recordDays: 7, rules: [REST] });
    const store = await openSqlite(join(folder, 'state', DECISIONS), decisionMigrations);
    const given = {
      ...facts({ recipients: [recipient('bob@partner.example', 'verified'), recipient('eve@else.example')] }),
      from: 'alice@example.org',
    };
    const rules = [rule({ name: 'then', encrypt: 'if-possible' })];
    const record = recordMail(given, rules, decideForRecipients(given, rules), () => true);
    await new SqliteDecisions(store, () => new Date(), 7).record('01mail', JSON.stringify(record));
    await store.close();

    const same = await configured('same.yaml', {
      rules: [{ name: 'renamed', sign: 'require', encrypt: 'if-possible' }],
    });
    const replay = (candidate: string, ...args: string[]) =>
      run('policy', 'replay', '--config', config, '--rules', candidate, ...args);
    const none = await replay(same, '--json');
    expect([none.error, JSON.parse(none.out)]).toEqual(['', { days: 7, mails: 1, differences: [] }]);

    // The section alone is a candidate too.
    const strict = join(folder, 'strict.yaml');
    await writeFile(
      strict,
      stringify({ policy: { rules: [{ name: 'strict', sign: 'require', encrypt: 'require' }] } }),
    );
    expect(JSON.parse((await replay(strict, '--json')).out)).toMatchObject({
      differences: [
        {
          ...{ mail: '01mail', from: 'alice@example.org' },
          recipients: [
            {
              address: 'eve@else.example',
              was: { kind: 'send', rule: 'then', signed: 'clear', encrypted: null },
              now: { kind: 'refuse', rule: 'strict', duration: 'permanent', enhancedCode: '5.7.1' },
            },
          ],
        },
      ],
    });
    const text = (await replay(strict)).out;
    expect(text).toMatch(/^ {4}was: signed \(clear\), not encrypted, rule then$/m);
    expect(text).toMatch(/^ {4}would be: refused \(permanent, 5\.7\.1\), rule strict$/m);
    expect(text).toMatch(/^1 of 1 mails of the last 7 days would be treated otherwise/m);

    const patient = join(folder, 'patient.yaml');
    const waits = { withoutCertificate: 'ask', introduce: true, subject: 'protect', appendTo: 'sent' };
    const asking = { name: 'patient', sign: 'require', encrypt: 'require', ...waits };
    await writeFile(patient, stringify({ policy: { rules: [asking] } }));
    expect((await replay(patient)).out).toMatch(
      /^ {4}would be: waiting, signed \(clear\), for a certificate \(verified, Subject hidden\), its sender is asked, with an introduction, a copy into sent, rule patient$/m,
    );
  });

  test('makes no file where no gateway has kept anything', async () => {
    const stateFolder = join(folder, 'fresh');
    const config = await configured('fresh.yaml', { recordDays: 7, rules: [REST] }, { stateFolder });
    const { code, out } = await run('policy', 'replay', '--config', config, '--rules', config, '--json');
    expect([code, JSON.parse(out)]).toEqual([0, { days: 7, mails: 0, differences: [] }]);
    expect(existsSync(stateFolder)).toBe(false);
  });

  test('says line and column of a candidate that is wrong, and that nothing is kept', async () => {
    const config = await configured('kept.yaml', { recordDays: 7, rules: [REST] });
    const wrong = join(folder, 'wrong.yaml');
    await writeFile(wrong, 'policy:\n  rules:\n    - name: x\n      sign: requird\n      encrypt: never\n');
    const { code, error } = await run('policy', 'replay', '--config', config, '--rules', wrong);
    expect([code, error]).toEqual([
      1,
      expect.stringContaining('wrong.yaml:4:13: error: policy.rules[0].sign: '),
    ]);
    const off = await configured('off.yaml', { rules: [REST] });
    expect((await run('policy', 'replay', '--config', off, '--rules', off)).error).toMatch(
      /policy\.recordDays/,
    );
  });
});

describe('a reload of the rules', () => {
  async function reload(written: string | object) {
    const before = await loadConfig(await configured('reload.yaml', { rules: [REST] }));
    if (before.kind === 'invalid') throw new Error('the configuration is wrong');
    const file = join(folder, 'reload.yaml');
    if (typeof written === 'string') await writeFile(file, written);
    else await configured('reload.yaml', { rules: [REST] }, written);
    const taken: Config['policy'][] = [];
    const log = new FakeLog();
    await reloadPolicy(file, before.config, { replacePolicy: (policy) => taken.push(policy) }, log);
    return { taken, events: log.events };
  }

  test('takes no rule that asks where answers would not fit into the address of the running gateway', async () => {
    const key = join(folder, 'gateway.pem');
    await writeFile(key, 'not read here', { mode: 0o600 });
    const queueOf = (localPart: string) => ({
      keys: [{ name: 'gateway', kind: 'pem', certificate: key, key }],
      queue: {
        ...{ key: 'gateway', address: `${localPart}@example.org` },
        server: { host: '127.0.0.1', port: 9, tls: 'none' },
      },
    });
    const long = await loadConfig(await configured('long.yaml', { rules: [REST] }, queueOf('g'.repeat(30))));
    if (long.kind !== 'ok') throw new Error(JSON.stringify(long.problems));
    const asks = { name: 'asks', sign: 'require', encrypt: 'require', withoutCertificate: 'ask' };
    const file = await configured('reload.yaml', { rules: [asks] }, queueOf('gateway'));
    const log = new FakeLog();
    const taken: Config['policy'][] = [];
    await reloadPolicy(file, long.config, { replacePolicy: (policy) => taken.push(policy) }, log);
    expect(taken).toEqual([]);
    expect(log.events).toMatchObject([
      {
        event: 'policy.reload-refused',
        problem: expect.stringMatching(/queue\.address: .*42 characters.* in the running gateway/),
      },
    ]);
  });

  test('takes no rule for mail that waits where the running gateway has no queue', async () => {
    const waits = { name: 'waits', sign: 'require', encrypt: 'require', withoutCertificate: 'hold' };
    const key = join(folder, 'gateway.pem');
    await writeFile(key, 'not read here', { mode: 0o600 });
    const { taken, events } = await reload({
      policy: { rules: [waits] },
      keys: [{ name: 'gateway', kind: 'pem', certificate: key, key }],
      queue: {
        ...{ key: 'gateway', address: 'gw@example.org' },
        server: { host: '127.0.0.1', port: 9, tls: 'none' },
      },
    });
    expect(taken).toEqual([]);
    expect(events).toMatchObject([
      {
        event: 'policy.reload-refused',
        problem: expect.stringMatching(
          /rules\[0\]\.withoutCertificate: hold needs .* in the running gateway/,
        ),
      },
    ]);
  });

  test('takes no rule for a listener that the running gateway does not have', async () => {
    const listener = { name: 'inside', host: '127.0.0.1', port: 0, tls: 'none' };
    const submission = [{ ...listener, upstream: { host: '127.0.0.1', port: 9, tls: 'none' } }];
    const strict = { name: 'strict', when: { listener: ['inside'] }, sign: 'require', encrypt: 'require' };
    const { taken, events } = await reload({ submission, policy: { rules: [strict, REST] } });
    expect(taken).toEqual([]);
    expect(events).toMatchObject([
      {
        event: 'policy.reload-refused',
        problem: expect.stringContaining('policy.rules[0].when.listener[0]'),
      },
    ]);
  });

  test('takes rules and groups together', async () => {
    const policy = {
      groups: [{ name: 'board', logins: ['alice'] }],
      rules: [{ ...REST, name: 'first', when: { loginGroup: ['board'] } }, REST],
    };
    const { taken, events } = await reload({ policy });
    expect(taken).toMatchObject([
      { groups: [{ name: 'board' }], rules: [{ name: 'first' }, { name: 'rest' }] },
    ]);
    expect(events).toEqual([{ event: 'policy.reloaded', level: 'info', rules: 2, restart: '' }]);
  });

  test('names other sections that have changed, which it does not take', async () => {
    const { taken, events } = await reload({ hostname: 'other.sealgate.test', log: { traceDays: 3 } });
    expect([taken.length, events]).toEqual([1, [expect.objectContaining({ restart: 'hostname, log' })]]);
  });

  test.each([
    ['policy: [', /reload\.yaml:\d+:\d+: error: /],
    ['', /reload\.yaml:1:1: error: /],
    [
      'hostname: a.example\npolicy: { rules: [ { name: x, sign: maybe, encrypt: never } ] }\n',
      /reload\.yaml:2:37: error: /,
    ],
  ])('of a wrong file leaves everything as it was: %j', async (text, problem) => {
    const { taken, events } = await reload(text);
    expect(taken).toEqual([]);
    expect(events).toContainEqual({
      ...{ event: 'policy.reload-refused', level: 'error', problem: expect.stringMatching(problem) },
    });
  });

  test('comes with SIGHUP, and a wrong file does not end the gateway', async () => {
    const file = await configured('serve.yaml', { rules: [REST] }, { log: { format: 'json' } });
    const child = spawn(
      process.execPath,
      [resolve('src/main.ts'), 'serve', '--config', file, '--no-upstream-check'],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    let log = '';
    const said = (word: string) =>
      new Promise<void>((resolve, reject) => {
        const look = () => (log.includes(word) ? resolve() : undefined);
        child.stdout.on('data', look);
        child.once('close', () => reject(new Error(`it ended: ${log}`)));
        look();
      });
    child.stdout.on('data', (text: Buffer) => (log += text.toString()));
    try {
      await said('gateway.listening');
      await configured('serve.yaml', { rules: [{ ...REST, sign: 'maybe' }] }, { log: { format: 'json' } });
      child.kill('SIGHUP');
      await said('policy.reload-refused');
      expect(log).toMatch(/serve\.yaml:\d+:\d+: error: policy\.rules\[0\]\.sign/);
      await configured(
        'serve.yaml',
        { rules: [REST, { ...REST, name: 'two' }] },
        { log: { format: 'json' } },
      );
      child.kill('SIGHUP');
      await said('policy.reloaded');
    } finally {
      const closed = once(child, 'close');
      child.kill('SIGTERM');
      await closed;
    }
  });
});
