import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { identityOf, readSecret } from '../../../src/hsm/pin/secret.ts';

const PIN = '739105';
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealgate-secret-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

afterEach(() => {
  vi.unstubAllEnvs();
});

let count = 0;

function fileWith(content: string | Buffer, mode = 0o600): string {
  const file = join(folder, `secret-${count++}`);
  writeFileSync(file, content);
  chmodSync(file, mode);
  return file;
}

describe('a secret in a file', () => {
  test.each([
    ['with a line end', `${PIN}\n`],
    ['with a line end of another system', `${PIN}\r\n`],
    ['without', PIN],
  ])('is its only line: %s', (_, content) => {
    expect(readSecret({ file: fileWith(content) })).toMatchObject({ kind: 'pin', pin: Buffer.from(PIN) });
  });

  test('is not trimmed: blanks belong to it', () => {
    expect(readSecret({ file: fileWith(` ${PIN}\t \n`) })).toMatchObject({ pin: Buffer.from(` ${PIN}\t `) });
  });

  test.each<[string, string | Buffer, RegExp]>([
    ['is empty', '', /empty/],
    ['is an empty line', '\n', /empty/],
    ['has two lines', `${PIN}\n${PIN}\n`, /more than one line/],
    ['has a NUL', `${PIN}\0\n`, /more than one line/],
    ['is no text', Buffer.from([0x31, 0xff]), /UTF-8/],
    ['is a disk image', Buffer.alloc(65_537, 0x31), /larger/],
  ])('that %s is refused, and its sentence has nothing of it', (_, content, sentence) => {
    const outcome = readSecret({ file: fileWith(content) });
    expect(outcome).toMatchObject({ kind: 'unavailable', publicText: expect.stringMatching(sentence) });
    expect(JSON.stringify(outcome)).not.toContain(PIN);
  });

  test.each([0o640, 0o604, 0o660, 0o602, 0o444])(
    'that others may read or write (mode %o) is refused',
    (mode) => {
      const file = fileWith(PIN, mode);
      expect(readSecret({ file })).toMatchObject({
        publicText: expect.stringContaining(`chmod 600 ${file}`),
      });
    },
  );

  test("that is root's and shows a right of root's group, as systemd's credentials do, is read", () => {
    const outcome = readSecret({ file: fileWith(PIN, 0o440) });
    expect(outcome.kind).toBe(process.getuid?.() === 0 && process.getgid?.() === 0 ? 'pin' : 'unavailable');
  });

  test('that is a folder, a pipe, a device or not there holds nothing up', () => {
    const inside = join(folder, 'folder');
    mkdirSync(inside, { mode: 0o700 });
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', ['-m', '600', pipe]);
    for (const file of [inside, pipe, '/dev/zero']) {
      expect(readSecret({ file })).toMatchObject({
        publicText: expect.stringContaining('not a regular file'),
      });
    }
    expect(readSecret({ file: join(folder, 'gone') })).toMatchObject({
      publicText: expect.stringContaining('does not exist'),
    });
  });

  test('whatever it is: a line or a refusal, never an exception', () => {
    const file = fileWith('');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), (octets) => {
        writeFileSync(file, octets);
        const outcome = readSecret({ file });
        if (outcome.kind === 'pin')
          expect(Buffer.from(octets).subarray(0, outcome.pin.length)).toEqual(outcome.pin);
        else expect(outcome.publicText).toContain(file);
      }),
    );
  });
});

describe('which secret it is', () => {
  test('stays the same while the file is untouched, and tells nothing of it', () => {
    const file = fileWith(`${PIN}\n`);
    const outcome = readSecret({ file });
    const identity = outcome.kind === 'pin' ? outcome.identity : null;
    expect(identity).not.toBeNull();
    expect(identityOf({ file })).toBe(identity);
    expect(identity).not.toContain(PIN);
  });

  test('changes when the file is written again, even the same and at the same time as before', () => {
    const file = fileWith(`${PIN}\n`);
    const at = new Date('2026-01-01T00:00:00Z');
    utimesSync(file, at, at);
    const before = identityOf({ file });
    writeFileSync(file, `${PIN}\n`);
    utimesSync(file, at, at);
    expect(identityOf({ file })).not.toBe(before);
  });

  test('changes when another file is put in its place', () => {
    const file = fileWith(`${PIN}\n`);
    const before = identityOf({ file });
    renameSync(fileWith(`${PIN}\n`), file);
    expect(identityOf({ file })).not.toBe(before);
  });

  test('is that of the file behind a link', () => {
    const [one, other] = [fileWith('1'), fileWith('2')];
    const link = join(folder, 'link');
    symlinkSync(one, link);
    const before = identityOf({ file: link });
    expect(before).toBe(identityOf({ file: one }));
    rmSync(link);
    symlinkSync(other, link);
    expect(identityOf({ file: link })).not.toBe(before);
  });

  test('is none where there is no file', () => {
    expect(identityOf({ file: join(folder, 'gone') })).toBeNull();
  });
});

describe('a secret in the environment', () => {
  test('is the whole variable', () => {
    vi.stubEnv('CARD_PIN', PIN);
    const outcome = readSecret({ env: 'CARD_PIN' });
    expect(outcome).toMatchObject({
      kind: 'pin',
      pin: Buffer.from(PIN),
      identity: identityOf({ env: 'CARD_PIN' }),
    });
    expect(identityOf({ env: 'CARD_PIN' })).not.toContain(PIN);
  });

  test.each([
    ['', 'not set'],
    [`${PIN}\n${PIN}`, 'more than one line'],
  ])('that is no secret is refused: %j', (value, sentence) => {
    vi.stubEnv('CARD_PIN', value);
    const outcome = readSecret({ env: 'CARD_PIN' });
    expect(outcome).toMatchObject({ kind: 'unavailable', publicText: expect.stringContaining(sentence) });
    expect(JSON.stringify(outcome)).not.toContain(PIN);
  });
});
