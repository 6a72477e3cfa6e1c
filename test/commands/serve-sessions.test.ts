import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { PLAIN, TestClient } from '../smtp-in/support/client.ts';
import { type FakeOptions, type FakeUpstream, fakeUpstream } from '../smtp-in/support/fake-upstream.ts';
import { QUEUED } from '../smtp-in/support/gateway.ts';

const run = promisify(execFile);

/** What becomes of sessions when the process gets a signal: SIGHUP reads anew, SIGTERM ends. */

let folder = '';
let upstream: FakeUpstream | null = null;
let child: ChildProcess | null = null;
afterEach(async () => {
  if (child !== null && child.exitCode === null) {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  await upstream?.close();
  await rm(folder, { recursive: true, force: true });
});

const RULE = { name: 'rest', sign: 'never', encrypt: 'never' };
const MAIL = 'MAIL FROM:<alice@example.org>\r\nRCPT TO:<b@example.net>\r\n';
const HEADER = 'From: alice@example.org\r\nSubject: x\r\n\r\n';
const LONG = `${'x'.repeat(74)}\r\n`.repeat(20_000);

async function configured(file: string, rules: readonly object[]): Promise<void> {
  const settings = {
    hostname: 'gw.sealgate.test',
    stateFolder: join(folder, 'state'),
    submission: [
      {
        ...{ name: 'submission', host: '127.0.0.1', port: 0, tls: 'none' },
        upstream: { host: '127.0.0.1', port: upstream?.port, tls: 'none' },
      },
    ],
    principals: { list: [{ login: 'alice@example.org', addresses: ['alice@example.org'] }] },
    policy: { rules },
    log: { format: 'json' },
  };
  await writeFile(file, stringify(settings), { mode: 0o600 });
}

/** A gateway in a process of its own; `said` resolves with a line of its log. */
async function serving(script: FakeOptions['script'] = {}) {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-sessions-'));
  upstream = await fakeUpstream({ script });
  const file = join(folder, 'gateway.yaml');
  await configured(file, [RULE]);
  const started = spawn(process.execPath, [resolve('src/main.ts'), 'serve', '--config', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child = started;
  let log = '';
  started.stdout.on('data', (text: Buffer) => (log += text.toString()));
  const said = (event: string) =>
    new Promise<string>((found, failed) => {
      const look = (): void => {
        const line = log.split('\n').find((each) => each.includes(`"${event}"`) && each.endsWith('}'));
        if (line !== undefined) found(line);
      };
      started.stdout.on('data', look);
      started.once('close', () => failed(new Error(`it ended: ${log}`)));
      look();
    });
  const { port } = JSON.parse(await said('gateway.listening')) as { port: number };
  return { started, said, file, port };
}

async function loggedIn(port: number): Promise<TestClient> {
  const client = await TestClient.open(port);
  await client.ask('EHLO client.test');
  expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toMatch(/^235/);
  return client;
}

async function begun(client: TestClient): Promise<void> {
  client.send(MAIL);
  for (let i = 0; i < 2; i++) expect(await client.reply()).toMatch(/^250/);
}

test('SIGHUP drops no session: not one that is idle, nor one in the middle of a message, by DATA or BDAT', async () => {
  const { started, said, file, port } = await serving();
  const [idle, inData, inLongData, inChunks] = await Promise.all([port, port, port, port].map(loggedIn));
  if (!idle || !inData || !inLongData || !inChunks) throw new Error('no sessions');
  await Promise.all([inData, inLongData, inChunks].map(begun));
  for (const client of [inData, inLongData]) expect(await client.ask('DATA')).toMatch(/^354/);
  inData.send(HEADER);
  inLongData.send(`${HEADER}${LONG}`);
  expect(await inChunks.ask(`BDAT ${HEADER.length}\r\n${HEADER.slice(0, -2)}`)).toMatch(/^250/);

  await configured(file, [RULE, { ...RULE, name: 'two' }]);
  started.kill('SIGHUP');
  await said('policy.reloaded');

  expect(await inData.ask('x\r\n.')).toMatch(QUEUED);
  inLongData.send(LONG);
  expect(await inLongData.ask('.')).toMatch(QUEUED);
  expect(await inChunks.ask('BDAT 3 LAST\r\nx')).toMatch(QUEUED);
  await begun(idle);
  expect(await idle.ask('DATA')).toMatch(/^354/);
  expect(await idle.ask(`${HEADER}x\r\n.`)).toMatch(QUEUED);
  expect(upstream?.accepted).toHaveLength(4);
  for (const client of [idle, inData, inLongData, inChunks]) client.end();
  started.kill('SIGTERM');
  expect(await once(started, 'close')).toEqual([0, null]);
});

test('SIGTERM: 421 to everybody, at once where the end of a message has not come; nothing of those is delivered', async () => {
  const { started, port } = await serving();
  const [idle, inLongData, inChunk, betweenChunks] = await Promise.all(
    [port, port, port, port].map(loggedIn),
  );
  if (!idle || !inLongData || !inChunk || !betweenChunks) throw new Error('no sessions');
  await Promise.all([inLongData, inChunk, betweenChunks].map(begun));
  expect(await inLongData.ask('DATA')).toMatch(/^354/);
  inLongData.send(`${HEADER}${LONG}`);
  inChunk.send(`BDAT ${LONG.length + 1} LAST\r\n${LONG}`);
  expect(await betweenChunks.ask('BDAT 3\r\nx')).toMatch(/^250/);
  // Its end may be seen before those of its connections.
  const closed = once(started, 'close');
  started.kill('SIGTERM');
  for (const client of [idle, inLongData, inChunk, betweenChunks]) {
    expect(await client.toEnd()).toEqual(['421 4.3.2 The gateway is shutting down; try again later']);
  }
  expect(await closed).toEqual([0, null]);
  expect(upstream?.accepted).toEqual([]);
});

test('SIGTERM while a mail server does not answer for a message: its client is told, the trail too, and the process ends', async () => {
  const asked = Promise.withResolvers<void>();
  const silent = () => {
    asked.resolve();
    return '';
  };
  const { started, file, port } = await serving({ END: silent });
  const client = await loggedIn(port);
  await begun(client);
  expect(await client.ask('DATA')).toMatch(/^354/);
  client.send(`${HEADER}x\r\n.\r\n`);
  await asked.promise;
  const closed = once(started, 'close');
  started.kill('SIGTERM');
  const [answer = '', farewell] = await client.toEnd();
  expect(answer).toMatch(/^451 4\.4\.2 /);
  expect(farewell).toMatch(/^421 4\.3\.2 /);
  expect(await closed).toEqual([0, null]);
  const mail = /\(mail ([0-9a-z]{20})\)$/.exec(answer)?.[1] ?? '';
  const { stdout } = await run(process.execPath, [resolve('src/main.ts'), 'trace', mail, '--config', file]);
  expect(stdout).toMatch(/refused \(upstream\.unreachable\): 451 4\.4\.2 .* \(the gateway stops\)$/m);
  expect(stdout).toMatch(/the client was told 451: 4\.4\.2 Not confirmed/);
});
