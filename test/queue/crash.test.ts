import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type ReceivedMail,
  type SmtpUpstream,
  startSmtpUpstream,
} from '../../src/evaluation/smtp-upstream.ts';
import { readDeliveries } from '../../src/queue/delivery-rows.ts';
import { eventually } from '../support/eventually.ts';
import { newOwnKey } from './support/own-identity.ts';
import { LOGIN, openQueueProcess } from './support/queue-process.ts';

/** A process is killed (SIGKILL) at every step between putting a mail into the queue and its end, and another one goes on. */

let folder = '';
let keyFile = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-crash-'));
  keyFile = join(folder, 'key.json');
  await writeFile(keyFile, JSON.stringify(newOwnKey()), { mode: 0o600 });
});
afterAll(() => rm(folder, { recursive: true }));

type Run = { said: string[]; signal: NodeJS.Signals | null; code: number | null };

type Mails = { mails: number; first?: number; together?: string };

/** @param onLine may end it */
function runProcess(
  state: string,
  port: number,
  { killAt, mails, first = 0, together = '' }: Mails & { killAt: number },
  onLine: (line: string, kill: () => void) => void = () => undefined,
): Promise<Run> {
  const program = join(import.meta.dirname, 'support', 'queue-process.ts');
  const child = spawn(
    process.execPath,
    [program, state, keyFile, String(port), String(killAt), String(mails), String(first), together],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    const lines = text.split('\n');
    for (const line of lines.slice(0, -1)) onLine(line, () => child.kill('SIGKILL'));
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ said: text.split('\n').slice(0, -1), signal, code }));
  });
}

/** Goes on in the state that a killed process has left, until nothing is to be done any more. */
async function finish(state: string, port: number): Promise<void> {
  const { store, spool, deliverer, stop } = await openQueueProcess(state, keyFile, port);
  deliverer.start();
  await eventually(async () => expect(await readDeliveries(store, [], 1)).toEqual([]));
  await stop();
  for (const name of await spool.unnamed(new Set())) await spool.remove(name);
  expect(await readdir(join(state, 'queue'))).toEqual([]);
}

const upstreamFor = () => startSmtpUpstream({ users: [LOGIN], lmtpPort: null, alsoTake: ['@upstream.test'] });

/** All that the upstream takes: by itself it keeps the last hundred mails only. */
function keptBy(upstream: SmtpUpstream): readonly ReceivedMail[] {
  const all: ReceivedMail[] = [];
  const received = upstream.received as ReceivedMail[];
  const push = received.push.bind(received);
  received.push = (...mails) => {
    all.push(...mails);
    return push(...mails);
  };
  return all;
}

const copies = (received: readonly ReceivedMail[], recipient: string) =>
  received.filter(({ envelope }) => envelope.recipients.includes(recipient)).length;
const reports = (received: readonly ReceivedMail[], about: string) =>
  received.filter(({ octets }) => octets.includes(`Final-Recipient: rfc822; ${about}`)).length;

/** Where the server may have a mail that nobody has written down as delivered. */
const TWICE = /^killed (?:during delivery|after delivery|before rows|during rows)$/;

async function killedAt(killAt: number): Promise<string> {
  const state = join(folder, `at-${killAt}`);
  await mkdir(state);
  const upstream: SmtpUpstream = await upstreamFor();
  try {
    const { said, signal, code } = await runProcess(state, upstream.port, { killAt, mails: 1 });
    expect(signal ?? code).toBe(said.at(-1)?.startsWith('killed') ? 'SIGKILL' : 0);
    await finish(state, upstream.port);
    const { received } = upstream;
    const [bob, report] = [copies(received, 'bob0@upstream.test'), reports(received, 'gone0@nowhere.test')];
    const last = said.at(-1) ?? '';
    const where = `${said.join(', ')}: ${bob} copies, ${report} reports`;
    if (said.includes('accepted 0')) expect(bob, where).toBeGreaterThanOrEqual(1);
    // Nobody fails in silence.
    expect(report > 0, where).toBe(bob > 0);
    if (!TWICE.test(last))
      expect(
        [bob, report].every((count) => count <= 1),
        where,
      ).toBe(true);
    expect(bob + report, where).toBeLessThanOrEqual(3);
    return last;
  } finally {
    await upstream.stop();
  }
}

test('killed at any step, nothing that was accepted is lost, and a second copy comes only where it must be possible', async () => {
  const seen: string[] = [];
  // Until a process comes to its end by itself; some at a time.
  for (let first = 1; !seen.includes('accepted 0'); first += 6) {
    seen.push(...(await Promise.all([0, 1, 2, 3, 4, 5].map((i) => killedAt(first + i)))));
  }
  const labels = new Set(seen);
  for (const when of ['before', 'during', 'after']) {
    for (const what of ['file', 'rows', 'delivery', 'removal'])
      expect(labels).toContain(`killed ${when} ${what}`);
  }
});

test('killed again and again while mail comes and goes, whatever was accepted is delivered', async () => {
  const upstream = await upstreamFor();
  const received = keptBy(upstream);
  const state = join(folder, 'load');
  await mkdir(state);
  try {
    const accepted = new Set<number>();
    for (const [run, after] of [3, 11, 27].entries()) {
      // Numbers of its own: what a run has lost is not made up for by a later one.
      const first = 100 * run;
      const options = { killAt: 0, mails: 60, first };
      const { said, signal } = await runProcess(state, upstream.port, options, (line, kill) => {
        if (line === `accepted ${first + after}`) kill();
      });
      expect(signal).toBe('SIGKILL');
      for (const line of said) accepted.add(Number(line.replace('accepted ', '')));
    }
    await finish(state, upstream.port);
    expect(accepted.size).toBeGreaterThan(3 + 11 + 27);
    for (const number of accepted) {
      expect(copies(received, `bob${number}@upstream.test`), `mail ${number}`).toBeGreaterThan(0);
    }
  } finally {
    await upstream.stop();
  }
});

test('killed while mails come together, each that was answered arrives, and none in part', async () => {
  const upstream = await upstreamFor();
  const received = keptBy(upstream);
  const state = join(folder, 'together');
  await mkdir(state);
  try {
    const accepted = new Set<number>();
    for (const [run, after] of [4, 17].entries()) {
      const first = 24 * run;
      const options = { killAt: 0, mails: 24, first, together: '8' };
      const { said } = await runProcess(state, upstream.port, options, (line, kill) => {
        if (line === `accepted ${first + after}`) kill();
      });
      for (const line of said) accepted.add(Number(line.replace('accepted ', '')));
    }
    await finish(state, upstream.port);
    expect(accepted.size).toBeGreaterThan(4);
    for (let number = 0; number < 2 * 24; number++) {
      const [bob, carol] = ['bob', 'carol'].map((name) => copies(received, `${name}${number}@upstream.test`));
      expect(Number(bob) > 0, `mail ${number}`).toBe(Number(carol) > 0);
      if (accepted.has(number)) expect(bob, `mail ${number}`).toBeGreaterThan(0);
    }
  } finally {
    await upstream.stop();
  }
});
