import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { withShared } from '../../src/commands/kept-state.ts';
import { SealgateError } from '../../src/errors.ts';
import { openCluster } from '../../src/gateway/cluster.ts';
import { Opened } from '../../src/gateway/opening.ts';
import { whenThere } from '../../src/gateway/when-there.ts';
import type { Event } from '../../src/log/events.ts';
import { storeUnavailable } from '../../src/store/sql-store.ts';
import { runSealgate } from '../commands/support/run-sealgate.ts';
import { eventually } from '../support/eventually.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { nodeConfig, nodeConfigText } from './support/node-config.ts';

/** All parts of a cluster are started at once, in whatever order they are there. */

let server: Started<Postgresql>;
const events: Event[] = [];
const log = { write: (event: Event) => void events.push(event) };
beforeAll(async () => {
  server = await postgresql();
});
afterAll(() => server.stop());
beforeEach(() => {
  events.length = 0;
});

test('a node that is there before PostgreSQL waits for it, and says so once', async () => {
  const config = nodeConfig(server, await server.database());
  const opened = new Opened();
  let starting: Promise<unknown> = Promise.resolve();
  await server.restart(async () => {
    starting = openCluster({ config, log, opened });
    starting.catch(() => undefined);
    await eventually(() => expect(events).toHaveLength(1));
  });
  await starting;
  await opened.close();
  expect(events.map(({ event }) => event)).toEqual(['cluster.database-away', 'cluster.joined']);
});

test('the status tells of a database that is away, where it is, and does not end well', async () => {
  const config = nodeConfig(server, await server.database());
  const { store } = config.directory;
  const gone = {
    ...config,
    directory: { ...config.directory, store: { ...store, port: 1 } as typeof store },
  };
  await expect(withShared(gone, async () => 'done')).rejects.toMatchObject({
    code: 'cluster.database-away',
    publicText: expect.stringMatching(/does not answer \(.*(ENOENT|ECONNREFUSED)/),
  });
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-status-'));
  try {
    await writeFile(join(folder, 'cluster.secret'), 'a'.repeat(48), { mode: 0o600 });
    const file = join(folder, 'gateway.yaml');
    await writeFile(file, nodeConfigText({ socket: server.socket, port: 1 }, 'mail'));
    const { out, code } = await runSealgate(['cluster', 'status', '--config', file]);
    expect([code, out]).toEqual([1, expect.stringMatching(/^PostgreSQL {2}AWAY \(.*\): .*\nRedis/)]);
    const json = await runSealgate(['cluster', 'status', '--json', '--config', file]);
    expect(JSON.parse(json.out)).toMatchObject({ postgresql: { state: 'away' }, redis: null });
  } finally {
    await rm(folder, { recursive: true });
  }
});

const waiting = { name: 'The database', setting: 'directory.store', log, pauseMs: 1 };

test('it waits for so long and then ends with what to do, at once where waiting helps nothing, or where it is told to', async () => {
  const away = () => Promise.reject(storeUnavailable('ECONNREFUSED'));
  await expect(whenThere(away, { ...waiting, waitMs: 20 })).rejects.toMatchObject({
    code: 'cluster.database-away',
    duration: 'temporary',
    publicText: expect.stringMatching(/The database does not answer \(ECONNREFUSED\).*directory\.store/),
  });
  const wrong = new SealgateError({ code: 'store.unusable', duration: 'permanent', publicText: 'No.' });
  await expect(whenThere(() => Promise.reject(wrong), waiting)).rejects.toBe(wrong);
  const stopping = new AbortController();
  const stopped = whenThere(away, { ...waiting, pauseMs: 60_000, stop: stopping.signal });
  stopping.abort();
  await expect(stopped).rejects.toMatchObject({ code: 'cluster.database-away' });
});
