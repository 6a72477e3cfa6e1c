import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Event } from '../../src/log/events.ts';
import { DiskRoom, type FreeSpace } from '../../src/queue/room.ts';
import { requireCommand } from '../support/require-command.ts';
import type { FullDisk } from './support/full-disk.ts';

const run = promisify(execFile);
const MIB = 1024 * 1024;
let events: Event[] = [];
const log = { write: (event: Event) => void events.push(event) };
beforeEach(() => {
  events = [];
});

describe('room for mail', () => {
  const reserve = { octets: 10 * MIB, files: 100 };
  function room(free: FreeSpace, clock: { now: number; looks: number } = { now: 0, looks: 0 }) {
    const look = async () => {
      clock.looks++;
      return { ...free };
    };
    return new DiskRoom(look, { reserve, log, now: () => clock.now });
  }

  test('is there as long as octets and files are free beside the reserve', async () => {
    expect(await room({ octets: 20 * MIB, files: 200 }).missing(5 * MIB)).toBeNull();
    expect(await room({ octets: 20 * MIB, files: 200 }).missing(10 * MIB)).toMatch(/octets are free/);
    expect(await room({ octets: 20 * MIB, files: 100 }).missing(1)).toMatch(/files can be made/);
    await expect(room({ octets: 0, files: 200 }).check(1)).rejects.toMatchObject({
      ...{ code: 'queue.full', duration: 'temporary' },
    });
  });

  test('what has come meanwhile counts before the disk is looked at again, which is not done for each mail', async () => {
    const clock = { now: 0, looks: 0 };
    const disk = room({ octets: 20 * MIB, files: 200 }, clock);
    const asked = await Promise.all([1, 2, 3].map(() => disk.missing(4 * MIB)));
    expect(asked.map((why) => why === null)).toEqual([true, true, false]);
    expect(clock.looks).toBe(1);
    clock.now = 1_000;
    expect(await disk.missing(4 * MIB)).toBeNull();
    expect(clock.looks).toBe(2);
  });

  test('that it is gone, and that it is back, is said once', async () => {
    const free = { octets: 0, files: 1_000 };
    const clock = { now: 0, looks: 0 };
    const disk = new DiskRoom(async () => ({ ...free }), { reserve, log, now: () => clock.now });
    await disk.missing(1);
    await disk.missing(1);
    Object.assign(free, { octets: 90 * MIB });
    clock.now = 1_000;
    await disk.missing(1);
    await disk.missing(1);
    expect(events.map(({ event }) => event)).toEqual(['queue.full', 'queue.has-room']);
  });

  test('where nobody can say it, writing will', async () => {
    const disk = new DiskRoom(() => Promise.reject(new Error('no such thing')), { reserve, log });
    expect(await disk.missing(MIB)).toBeNull();
  });
});

describe('a file system that is full', () => {
  /** Octets of a mail, and what is missing in the end where that shows beforehand: less than a whole long mail does. */
  test.each([
    { what: 'octets, for short mails', options: 'size=256k', octets: 60_000, missing: /octets are free/ },
    { what: 'octets, for long mails', options: 'size=2m', octets: MIB, missing: /octets are free/ },
    { what: 'inodes', options: 'size=1m,nr_inodes=8', octets: 100, missing: /files can be made/ },
  ])(
    'without $what: refused for now, and nothing of it is kept; it is seen before a mail is taken',
    async (disk) => {
      expect(await filled(disk.options, disk.octets)).toEqual({
        ...{ code: 'queue.full', duration: 'temporary', leftOver: [], readable: true, takesAgain: true },
        missing: { before: null, full: expect.stringMatching(disk.missing) },
      });
    },
  );
});

async function filled(options: string, octets: number): Promise<FullDisk> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-full-'));
  try {
    const unshare = await requireCommand('unshare');
    const namespaces = process.getuid?.() === 0 ? ['--mount'] : ['--map-root-user', '--mount'];
    const program = join(import.meta.dirname, 'support', 'full-disk.ts');
    const args = [...namespaces, process.execPath, program, folder, options, String(octets)];
    return JSON.parse((await run(unshare, args)).stdout) as FullDisk;
  } finally {
    await rm(folder, { recursive: true });
  }
}
