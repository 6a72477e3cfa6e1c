import { expect, test } from 'vitest';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import type { Keeping, StoreAndForward, Submission } from '../../src/pipeline/ports.ts';
import { spoolFull } from '../../src/queue/spool-name.ts';
import { QueuedHandOver } from '../../src/smtp-in/queued-hand-over.ts';
import { QueuedUpstream } from '../../src/smtp-in/queued-upstream.ts';
import type { Answer, Upstream } from '../../src/smtp-out/client.ts';
import { away, mail, submission } from '../pipeline/support/ports.ts';

/** A mail server that lets everybody in, and remembers what it was told. */
function logins(): { server: Upstream; heard: string[]; lose(reason: string): void } {
  const heard: string[] = [];
  const listeners: ((reason: string) => void)[] = [];
  const state: { lost: string | null } = { lost: null };
  const said = async (line: string): Promise<Answer> => {
    heard.push(line);
    return { kind: 'reply', reply: { code: line.startsWith('AUTH') ? 235 : 334, lines: ['x'] } };
  };
  const server: Upstream = {
    ...{ name: 'mail.test:587', protocol: 'smtp', secure: true },
    extensions: new Map([
      ['AUTH', ['PLAIN']],
      ['CHUNKING', []],
    ]),
    get lost() {
      return state.lost;
    },
    whenLost: (listener) => void listeners.push(listener),
    command: said,
    secret: async () => said('(secret)'),
    data: async () => ({ kind: 'lost', reason: 'never' }),
    dataForEach: async () => [],
    quit: () => void heard.push('QUIT'),
    abandon: () => void heard.push('abandoned'),
  };
  const lose = (reason: string) => {
    state.lost = reason;
    for (const listener of listeners) listener(reason);
  };
  return { server, heard, lose };
}

test('the mail server hears of the login and of nothing else, and its end is no end of the session then', async () => {
  const { server, heard, lose } = logins();
  const upstream = new QueuedUpstream(server);
  expect([...upstream.extensions.keys()].sort()).toEqual(
    ['8BITMIME', 'AUTH', 'DSN', 'ENHANCEDSTATUSCODES', 'PIPELINING', 'REQUIRETLS', 'SIZE', 'SMTPUTF8'].sort(),
  );
  const lost: string[] = [];
  upstream.whenLost((reason) => lost.push(reason));
  await upstream.command('AUTH PLAIN');
  for (const line of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'RSET', 'NOOP']) {
    expect(await upstream.command(line)).toMatchObject({ kind: 'reply', reply: { code: 250 } });
  }
  expect(await upstream.command('AUTH PLAIN')).toMatchObject({ reply: { code: 503 } });
  expect(heard).toEqual(['AUTH PLAIN', 'QUIT']);
  lose('it closed the connection');
  expect([lost, upstream.lost]).toEqual([[], null]);
});

test('before the login its end is that of the session', () => {
  const { server, lose } = logins();
  const upstream = new QueuedUpstream(server);
  const lost: string[] = [];
  upstream.whenLost((reason) => lost.push(reason));
  lose('it closed the connection');
  expect([lost, upstream.lost]).toEqual([['it closed the connection'], 'it closed the connection']);
});

test.each([
  ['no room', spoolFull('queue: ENOSPC'), { code: 452, lines: [expect.stringMatching(/^4\.3\.1 /)] }],
  ['no database', away('store.unavailable'), { code: 451, lines: [expect.stringMatching(/^4\.3\.0 /)] }],
])('%s is a refusal for now, and what was put there before is dropped', async (_, trouble, reply) => {
  let dropped = 0;
  const keeping: Keeping = {
    add: () => Promise.reject(trouble),
    fail: async () => undefined,
    commit: async () => undefined,
    drop: async () => void dropped++,
  };
  const store: StoreAndForward = { begin: () => keeping, full: async () => null };
  const octets = mail(['From: alice@example.org']);
  const handedIn: Submission = submission('alice@example.org', ['bob@example.org'], octets);
  const handOver = new QueuedHandOver(store, handedIn);
  const { recipients } = handedIn.envelope;
  const variant = {
    ...{ recipients, octets: bufferSource(octets), requireTls: false },
    protection: { signed: false, encrypted: false },
  };
  expect(await handOver.deliver(variant)).toEqual({ kind: 'rejected', reply });
  await handOver.close();
  expect(dropped).toBe(1);
});
