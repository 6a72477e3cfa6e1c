import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Config } from '../../src/config/load.ts';
import { tellLeftBehind } from '../../src/gateway/left-behind.ts';
import type { Event } from '../../src/log/events.ts';
import { mailToHold, startDesk } from './support/desk.ts';

async function told(stateFolder: string): Promise<Event[]> {
  const events: Event[] = [];
  const config = { stateFolder } as Config;
  await tellLeftBehind({ config, log: { write: (event: Event) => void events.push(event) } });
  return events;
}

test('a gateway that has lost its section queue says what it has accepted and cannot deliver', async () => {
  const desk = await startDesk();
  try {
    expect(await told(desk.state)).toEqual([]);
    const mail = mailToHold({ to: ['bob@partner.example', 'carol@partner.example'], ask: true });
    await desk.desk.hold([mail]);
    const left = { event: 'queue.left-behind', level: 'error', deliveries: 1 };
    expect(await told(desk.state)).toEqual([{ ...left, waiting: 2 }]);
    await desk.mails.choose(mail.id, 'discard', { recipients: ['bob@partner.example'], by: 'alice' });
    expect(await told(desk.state)).toEqual([{ ...left, waiting: 1 }]);
  } finally {
    await desk.stop();
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
