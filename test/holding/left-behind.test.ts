import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Config } from '../../src/config/load.ts';
import { tellLeftBehind } from '../../src/gateway/left-behind.ts';
import type { Event } from '../../src/log/events.ts';
import { mailToHold, startDesk } from './support/desk.ts';

type Cluster = Parameters<typeof tellLeftBehind>[1];

async function told(stateFolder: string, queue: Config['queue'] = null, cluster: Cluster = null) {
  const events: Event[] = [];
  const log = { write: (event: Event) => void events.push(event) };
  await tellLeftBehind({ config: { stateFolder, queue }, log }, cluster);
  return events;
}

test('a gateway that has lost its section queue says what it has accepted and cannot deliver', async () => {
  const desk = await startDesk();
  try {
    expect(await told(desk.state)).toEqual([]);
    const mail = mailToHold({ to: ['bob@partner.example', 'carol@partner.example'], ask: true });
    await desk.desk.hold([mail]);
    const left = { event: 'queue.left-behind', level: 'error', place: desk.state, deliveries: 1 };
    expect(await told(desk.state)).toEqual([{ ...left, waiting: 2 }]);
    await desk.mails.choose(mail.id, 'discard', { recipients: ['bob@partner.example'], by: 'alice' });
    expect(await told(desk.state)).toEqual([{ ...left, waiting: 1 }]);
  } finally {
    await desk.stop();
  }
});

test('so does one that has become a node: what its state folder has no node delivers', async () => {
  const [desk, nodes] = [await startDesk(), await startDesk()];
  const settings = {} as NonNullable<Config['queue']>;
  try {
    await desk.desk.hold([mailToHold({ ask: true })]);
    const left = { event: 'queue.left-behind', level: 'error', deliveries: 1, waiting: 1 };
    expect(await told(desk.state, settings)).toEqual([]);
    const cluster = { rows: nodes.store, whenThere: <T>(work: () => Promise<T>) => work() };
    expect(await told(desk.state, settings, cluster)).toEqual([{ ...left, place: desk.state }]);
    await nodes.desk.hold([mailToHold({ ask: true })]);
    expect(await told(desk.state, settings, cluster)).toEqual([{ ...left, place: desk.state }]);
    expect(await told(desk.state, null, cluster)).toEqual([
      { ...left, place: 'PostgreSQL' },
      { ...left, place: desk.state },
    ]);
  } finally {
    await desk.stop();
    await nodes.stop();
  }
});

test('one that never had it has nothing to say', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-left-'));
  try {
    expect(await told(folder)).toEqual([]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
