import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { noFiles } from '../../src/config/files.ts';
import { parseConfig } from '../../src/config/load.ts';
import { tellServersOfQueue } from '../../src/gateway.ts';
import type { Event } from '../../src/log/events.ts';
import { fakeUpstream } from '../smtp-in/support/fake-upstream.ts';

test('a start says which servers of the queue cannot be used, and starts all the same', async () => {
  const refusing = await fakeUpstream({ script: { AUTH: '535 5.7.8 no such login\r\n' } });
  const sound = await fakeUpstream();
  const server = (port: number) => ({ host: '127.0.0.1', port, tls: 'none' });
  const via = (port: number) => ({ kind: 'server', ...server(port) });
  const text = stringify({
    ...{ hostname: 'gw.example.org', keys: [{ name: 'g', kind: 'pem', certificate: 'g.crt', key: 'g.key' }] },
    imap: [{ name: 'i', host: '127.0.0.1', port: 0, tls: 'none', upstream: server(1) }],
    policy: { rules: [{ name: 'all', sign: 'never', encrypt: 'never' }] },
    queue: {
      ...{ key: 'g', address: 'secure-mail@example.org' },
      server: { ...server(refusing.port), login: 'sealgate', password: { env: 'PASSWORD' } },
      routes: [
        // Nobody listens there, and nobody is given it meanwhile.
        { name: 'away', domains: ['a.example'], via: via(1) },
        { name: 'sound', domains: ['b.example'], via: via(sound.port) },
        { name: 'named', domains: ['c.example'], via: { kind: 'mx' } },
      ],
    },
  });
  const parsed = parseConfig('gateway.yaml', text, noFiles);
  if (parsed.kind === 'invalid') throw new Error(JSON.stringify(parsed.problems));
  const events: Event[] = [];
  await tellServersOfQueue(parsed.config, { write: (event) => void events.push(event) });
  expect(events).toHaveLength(2);
  expect(events).toEqual(
    expect.arrayContaining([
      {
        ...{ event: 'queue.server-unusable', level: 'warn', place: 'queue.server' },
        reason: expect.stringMatching(`^127\\.0\\.0\\.1:${refusing.port}: .*535 5\\.7\\.8`),
      },
      {
        ...{ event: 'queue.server-unusable', level: 'warn', place: 'queue.routes, away' },
        reason: expect.stringMatching(/^127\.0\.0\.1:1: .*ECONNREFUSED/),
      },
    ]),
  );
  expect(sound.commands.slice(0, 1)).toEqual(['EHLO gw.example.org']);
  expect([...refusing.commands, ...sound.commands].join()).not.toMatch(/MAIL/);
  await Promise.all([refusing.close(), sound.close()]);
});
