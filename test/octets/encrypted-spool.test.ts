import { randomBytes } from 'node:crypto';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import { CHUNK_OCTETS, type OctetStream, type SpooledOctets } from '../../src/octets/source.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealgate-spool-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function collect(octets: OctetStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of octets) {
    expect(chunk.length).toBeGreaterThan(0);
    expect(chunk.length).toBeLessThanOrEqual(CHUNK_OCTETS);
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
}

async function spooled(octets: Buffer, memoryOctets?: number, step = octets.length): Promise<SpooledOctets> {
  const writer = encryptedSpool({ folder, ...(memoryOctets === undefined ? {} : { memoryOctets }) }).begin();
  for (let at = 0; at < octets.length; at += step) await writer.write(octets.subarray(at, at + step));
  return writer.finish();
}

/** Descriptors of this process that lead to files of spools: their names are gone. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    const path = `/proc/self/fd/${fd}`;
    try {
      return readlinkSync(path).startsWith(`${folder}/.sealgate-`) ? [path] : [];
    } catch {
      // The descriptor with which this list was read.
      return [];
    }
  });
}

function theFile(): string {
  const [path, ...others] = openFiles();
  if (path === undefined || others.length > 0) throw new Error('one file was expected');
  return path;
}

const SIZES = [0, 1, 15, CHUNK_OCTETS - 1, CHUNK_OCTETS, CHUNK_OCTETS + 1, 4 * CHUNK_OCTETS, 1_000_003];

describe('what is written', () => {
  it.each(SIZES)('is read again as often as one likes: %i octets', async (size) => {
    const octets = randomBytes(size);
    for (const memoryOctets of [0, 2 * CHUNK_OCTETS, undefined]) {
      const content = await spooled(octets, memoryOctets);
      expect(content.length).toBe(size);
      for (let again = 0; again < 2; again++) {
        expect((await collect(content.read())).equals(octets)).toBe(true);
      }
      const both = await Promise.all([collect(content.read()), collect(content.read())]);
      for (const one of both) expect(one.equals(octets)).toBe(true);
      await content.discard();
    }
  });

  it('comes in any pieces and is read from any place to any other', async () => {
    const octets = randomBytes(3 * CHUNK_OCTETS + 77);
    const place = fc.nat(octets.length);
    await fc.assert(
      fc.asyncProperty(
        place,
        place,
        fc.integer({ min: 997, max: 200_000 }),
        fc.constantFrom(0, CHUNK_OCTETS, 1 << 20),
        async (one, other, step, memory) => {
          const [start, end] = [Math.min(one, other), Math.max(one, other)];
          const content = await spooled(octets, memory, step);
          expect((await collect(content.read(start, end))).equals(octets.subarray(start, end))).toBe(true);
          await content.discard();
        },
      ),
      { numRuns: 40 },
    );
    expect(openFiles()).toEqual([]);
  });

  it('may be changed by its owner at once', async () => {
    const writer = encryptedSpool({ folder }).begin();
    const octets = Buffer.alloc(100_000, 'a');
    await writer.write(octets);
    octets.fill('b');
    const content = await writer.finish();
    expect((await collect(content.read())).equals(Buffer.alloc(100_000, 'a'))).toBe(true);
    await content.discard();
  });
});

describe('places', () => {
  it('is in memory up to the bound and in a file beyond it', async () => {
    const small = await spooled(randomBytes(2 * CHUNK_OCTETS), 2 * CHUNK_OCTETS);
    expect(openFiles()).toHaveLength(0);
    const large = await spooled(randomBytes(2 * CHUNK_OCTETS + 1), 2 * CHUNK_OCTETS);
    expect(openFiles()).toHaveLength(1);
    await small.discard();
    await large.discard();
    expect(openFiles()).toHaveLength(0);
  });

  it('has no name, so that it ends with the process, and nobody else may open it', async () => {
    const content = await spooled(randomBytes(CHUNK_OCTETS), 0);
    expect(readdirSync(folder)).toEqual([]);
    const { nlink, mode } = statSync(theFile());
    expect({ nlink, mode: mode & 0o777 }).toEqual({ nlink: 0, mode: 0o600 });
    await content.discard();
  });

  it('closes its file when what was written is thrown away before its end', async () => {
    const writer = encryptedSpool({ folder, memoryOctets: 0 }).begin();
    await writer.write(randomBytes(9 * CHUNK_OCTETS));
    expect(openFiles()).toHaveLength(1);
    await writer.discard();
    await writer.discard();
    expect(openFiles()).toHaveLength(0);
    await expect(writer.write(Buffer.from('x'))).rejects.toThrow('after its end');
  });

  it('is thrown away without a word where the disk fails then: nobody needs what was in it', async () => {
    const content = await spooled(randomBytes(CHUNK_OCTETS), 0);
    closeSync(Number(basename(theFile())));
    await content.discard();
  });

  it.each([0, 1 << 20])('gives nothing once it was thrown away (%i octets of memory)', async (memory) => {
    const content = await spooled(randomBytes(3 * CHUNK_OCTETS), memory);
    const reading = content.read()[Symbol.asyncIterator]();
    await reading.next();
    await content.discard();
    await content.discard();
    await expect(reading.next()).rejects.toThrow('thrown away');
    await expect(collect(content.read())).rejects.toThrow('thrown away');
  });
});

describe('what lies on the disk', () => {
  it('holds nothing of the plaintext, nor twice the same for the same', async () => {
    const line = Buffer.from('Dear Bob, the meeting is at noon.\r\n');
    const octets = Buffer.alloc(2 * CHUNK_OCTETS, line);
    const one = await spooled(octets, 0);
    const [first] = openFiles().map((path) => readFileSync(path));
    expect(first?.length).toBe(octets.length + 2 * 16);
    expect(first?.includes(line.subarray(0, 8))).toBe(false);
    const other = await spooled(octets, 0);
    const files = openFiles().map((path) => readFileSync(path).subarray(0, 32).toString('hex'));
    expect(new Set(files).size).toBe(2);
    await one.discard();
    await other.discard();
  });

  const chunks = Buffer.concat([randomBytes(2 * CHUNK_OCTETS), randomBytes(100)]);
  const stored = CHUNK_OCTETS + 16;
  it.each<[string, (file: Buffer) => Buffer]>([
    ['a changed bit', (file) => flipped(file, 5)],
    ['a changed tag', (file) => flipped(file, stored - 1)],
    ['a changed last chunk', (file) => flipped(file, file.length - 20)],
    ['a missing end', (file) => file.subarray(0, -1)],
    ['nothing left', () => Buffer.alloc(0)],
    [
      'two chunks in each other’s place',
      (file) =>
        Buffer.concat([
          file.subarray(stored, 2 * stored),
          file.subarray(0, stored),
          file.subarray(2 * stored),
        ]),
    ],
    [
      'the same chunk twice',
      (file) =>
        Buffer.concat([file.subarray(0, stored), file.subarray(0, stored), file.subarray(2 * stored)]),
    ],
  ])('is noticed when it changes: %s', async (_, change) => {
    const content = await spooled(chunks, 0);
    const path = theFile();
    const changed = change(readFileSync(path));
    const fd = openSync(path, 'w');
    writeSync(fd, changed, 0, changed.length, 0);
    closeSync(fd);
    const error = await collect(content.read()).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(SealgateError);
    expect(error).toMatchObject({ code: 'spool.damaged', duration: 'temporary' });
    await content.discard();
  });
});

function flipped(file: Buffer, at: number): Buffer {
  const changed = Buffer.from(file);
  changed[at] = (changed[at] ?? 0) ^ 1;
  return changed;
}

describe('a disk that does not serve', () => {
  it('is a temporary failure where there is no folder', async () => {
    const writer = encryptedSpool({ folder: join(folder, 'absent'), memoryOctets: 0 }).begin();
    await writer.write(randomBytes(CHUNK_OCTETS));
    await expect(writer.write(randomBytes(9 * CHUNK_OCTETS))).rejects.toMatchObject({
      code: 'spool.unavailable',
      duration: 'temporary',
    });
    await writer.discard();
  });

  it('is a temporary failure where too many files are open, until some are closed', async () => {
    const waiting: SpooledOctets[] = [];
    for (let i = 0; i < limits.spool.files; i++) waiting.push(await spooled(Buffer.from('x'), 0));
    await expect(spooled(Buffer.from('x'), 0)).rejects.toMatchObject({
      code: 'spool.unavailable',
      duration: 'temporary',
    });
    // What stays in memory needs none.
    await (await spooled(Buffer.from('x'))).discard();
    await waiting.pop()?.discard();
    waiting.push(await spooled(Buffer.from('x'), 0));
    await Promise.all(waiting.map((one) => one.discard()));
    expect(openFiles()).toEqual([]);
  });

  it('is a temporary failure where the disk is full', async () => {
    // Every write to it fails as on a full disk.
    const writer = encryptedSpool({ folder, memoryOctets: 0 }).begin();
    await writer.write(randomBytes(5 * CHUNK_OCTETS));
    const { FileHandle } = await fileHandleClass();
    const original = FileHandle.prototype.writev;
    FileHandle.prototype.writev = () =>
      Promise.reject(Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' }));
    try {
      await expect(
        writer.write(randomBytes(9 * CHUNK_OCTETS)).then(() => writer.finish()),
      ).rejects.toMatchObject({ code: 'spool.unavailable', duration: 'temporary' });
    } finally {
      FileHandle.prototype.writev = original;
    }
    await writer.discard();
    expect(openFiles()).toEqual([]);
  });
});

async function fileHandleClass() {
  const { open } = await import('node:fs/promises');
  const handle = await open(folder);
  const prototype = Object.getPrototypeOf(handle) as { writev: (...args: unknown[]) => Promise<unknown> };
  await handle.close();
  return { FileHandle: { prototype } };
}
