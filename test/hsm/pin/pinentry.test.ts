import { chmodSync } from 'node:fs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { askPinentry } from '../../../src/hsm/pin/pinentry.ts';
import { LOG_IN, Terminal } from './support/terminal.ts';
import { TestPinentry } from './support/test-pinentry.ts';

const PIN = '739105';

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('a pinentry', () => {
  test('is told who asks for what, and what it answers is the PIN', async () => {
    using pinentry = new TestPinentry({ getpin: `echo "D 73%39105"; echo OK` });
    const token = { label: 'ALICE', serial: '0815', reader: 'Reader 00 00', tries: 'count-low' } as const;
    const prompt = { ...LOG_IN, token, previousError: 'The PIN was not right.' };
    const outcome = await askPinentry(pinentry.program, prompt);
    expect(outcome).toEqual({ kind: 'pin', pin: Buffer.from(PIN), identity: null });
    const told = pinentry.told.filter((line) => /^[SG]ET/.test(line));
    expect(told).toEqual([
      expect.stringMatching(/^GETINFO /),
      'SETTIMEOUT 60',
      'SETTITLE PIN of "ALICE"',
      expect.stringMatching(
        /^SETDESC .*%0ACard: ALICE, number 0815%0AReader: Reader 00 00%0A.*few tries are left\.$/,
      ),
      'SETPROMPT PIN:',
      'SETOK Use card',
      'SETERROR The PIN was not right.',
      'GETPIN',
    ]);
    expect(pinentry.isRunning).toBe(false);
  });

  test('is never allowed a cache, which would send one wrong PIN again and again', async () => {
    using pinentry = new TestPinentry({ getpin: 'echo "S PASSWORD_FROM_CACHE"; echo "D 1234"; echo OK' });
    const outcome = await askPinentry(pinentry.program, LOG_IN);
    expect(outcome).toMatchObject({ kind: 'unavailable', publicText: expect.stringContaining('cache') });
    expect(pinentry.told.join('\n')).not.toMatch(/KEYINFO|cache/i);
  });

  test('gets what it needs to find its person, and nothing else of the environment', async () => {
    vi.stubEnv('DISPLAY', ':7');
    vi.stubEnv('CARD_PIN', PIN);
    using pinentry = new TestPinentry();
    await askPinentry(pinentry.program, LOG_IN);
    const environment = pinentry.told.filter((line) => line.startsWith('ENVIRONMENT '));
    expect(environment).toContain('ENVIRONMENT DISPLAY=:7');
    expect(environment.join('\n')).not.toContain('CARD_PIN');
    expect(pinentry.told).toContain('OPTION display=:7');
  });

  test('is told nothing that it could obey by what a card calls itself', async () => {
    using pinentry = new TestPinentry();
    const token = {
      ...LOG_IN.token,
      label: 'A\nGETPIN\n%0ASETERROR x\x1b',
      serial: '€'.repeat(500),
      reader: '%'.repeat(500),
    };
    await askPinentry(pinentry.program, { ...LOG_IN, token, previousError: '€'.repeat(500) });
    expect(pinentry.told.filter((line) => line === 'GETPIN')).toHaveLength(1);
    expect(pinentry.told).toContain('SETTITLE PIN of "A?GETPIN?%250ASETERROR x?"');
  });

  test('that knows few of the settings still asks', async () => {
    using pinentry = new TestPinentry({
      getpin: `echo "D ${PIN}"; echo OK`,
      other: 'echo "ERR 83886355 Unknown command <Pinentry>"',
    });
    expect(await askPinentry(pinentry.program, LOG_IN)).toMatchObject({ kind: 'pin' });
  });

  test.each([
    ['cancels', 'echo "ERR 83886179 Operation cancelled <Pinentry>"', 'cancelled'],
    ['cancels for good', 'echo "ERR 83886278 Operation fully cancelled <Pinentry>"', 'cancelled'],
    ['presses Enter alone', 'echo OK', 'cancelled'],
    ['lets the window time out', 'echo "ERR 83886142 Timeout <Pinentry>"', 'unanswered'],
  ])('whose person %s', async (_, getpin, kind) => {
    using pinentry = new TestPinentry({ getpin });
    expect(await askPinentry(pinentry.program, LOG_IN)).toMatchObject({ kind });
  });

  test.each<[string, ConstructorParameters<typeof TestPinentry>[0], RegExp]>([
    ['writes without end', { getpin: 'yes "# la"' }, /more lines/],
    ['writes one line without end', { getpin: 'yes | tr -d "\\n"' }, /too long/],
    ['writes NUL without end', { getpin: 'cat /dev/zero' }, /too long/],
    ['greets without end', { greeting: 'yes OK' }, /unasked|not talked/],
    ['has a PIN with NUL in it', { getpin: 'echo "D 12%0034"; echo OK' }, /no line of text/],
    ['has a PIN of two lines', { getpin: 'echo "D 12%0A34"; echo OK' }, /no line of text/],
    ['has a PIN that is no text', { getpin: 'echo "D %FF"; echo OK' }, /no line of text/],
    ['writes percent nonsense', { getpin: 'echo "D 12%x4"; echo OK' }, /hexadecimal/],
    ['asks back', { getpin: 'echo "INQUIRE QUALITY 1234"' }, /not Assuan/],
    ['ends in the middle', { getpin: 'printf "D 1234"; exit 1' }, /ended without an answer/],
    ['ends at once', { greeting: 'exit 0' }, /ended without an answer/],
    ['is another program', { greeting: 'echo "Usage: cat [FILE]"' }, /not Assuan/],
    ['refuses to work', { greeting: 'echo "ERR 67108922 No agent"' }, /refuses to work/],
    [
      'has no terminal',
      { getpin: 'echo "ERR 83918950 Inappropriate ioctl for device <Pinentry>"' },
      /could not ask/,
    ],
  ])('that %s is not believed', async (_, behaviour, sentence) => {
    using pinentry = new TestPinentry(behaviour);
    const outcome = await askPinentry(pinentry.program, LOG_IN);
    expect(outcome).toMatchObject({ kind: 'unavailable', publicText: expect.stringMatching(sentence) });
    expect(JSON.stringify(outcome)).not.toContain('1234');
    expect(pinentry.isRunning).toBe(false);
  });

  test.each([
    ['does not answer', 'sleep 1000'],
    ['does not answer, and ends for nobody', 'trap "" TERM; while :; do sleep 0.05; done'],
  ])('that %s is ended', async (_, getpin) => {
    using pinentry = new TestPinentry({ getpin });
    const patience = new AbortController();
    const outcome = askPinentry(pinentry.program, LOG_IN, { signal: patience.signal });
    // Not by the time: one that is ended before it has begun says nothing.
    await expect.poll(() => pinentry.told).toContain('GETPIN');
    patience.abort();
    expect(await outcome).toMatchObject({ kind: 'unanswered' });
    expect(pinentry.isRunning).toBe(false);
  });

  test('is not started for a prompt that nobody wants any more', async () => {
    using pinentry = new TestPinentry();
    const outcome = await askPinentry(pinentry.program, LOG_IN, { signal: AbortSignal.abort() });
    expect(outcome).toMatchObject({ kind: 'unanswered' });
    expect(pinentry.isRunning).toBeNull();
  });

  test('that is not there, or not to be run, is said with what to do', async () => {
    using pinentry = new TestPinentry();
    expect(await askPinentry(`${pinentry.program}-gone`, LOG_IN)).toMatchObject({
      kind: 'unavailable',
      publicText: expect.stringContaining('does not exist'),
    });
    vi.stubEnv('PATH', pinentry.folder);
    expect(await askPinentry(null, LOG_IN)).toMatchObject({ kind: 'cancelled' });
    chmodSync(pinentry.program, 0o600);
    expect(await askPinentry(null, LOG_IN)).toMatchObject({
      kind: 'unavailable',
      publicText: expect.stringContaining('no pinentry on PATH'),
    });
  });

  test('on PATH is never one of the working folder', async () => {
    using pinentry = new TestPinentry();
    const before = process.cwd();
    vi.stubEnv('PATH', ['', '.', 'bin'].join(':'));
    vi.spyOn(process, 'cwd').mockReturnValue(pinentry.folder);
    expect(await askPinentry(null, LOG_IN)).toMatchObject({ kind: 'unavailable' });
    expect(pinentry.isRunning).toBeNull();
    vi.restoreAllMocks();
    expect(process.cwd()).toBe(before);
  });
});

describe('pinentry-tty', { concurrent: true }, () => {
  const source = { ask: 'pinentry', program: '/usr/bin/pinentry-tty' } as const;

  test('asks on the terminal, and the PIN does not show', async () => {
    await using terminal = new Terminal({ source });
    await terminal.sees(/ALICE[\s\S]*PIN:/);
    terminal.type(`${PIN}\r`);
    const { outcome, restored } = await terminal.end();
    expect(outcome).toEqual({ kind: 'pin', pin: PIN, identity: null });
    expect(restored).toBe(true);
    expect(terminal.seen).not.toContain(PIN);
  });

  test('hands over what has to be encoded on the way', async () => {
    await using terminal = new Terminal({ source });
    await terminal.sees(/PIN:/);
    terminal.type('a%41 é\r');
    expect(await terminal.end()).toMatchObject({ outcome: { kind: 'pin', pin: 'a%41 é' } });
  });

  test('cancels with Enter alone, and the terminal is as it was', async () => {
    await using terminal = new Terminal({ source });
    await terminal.sees(/PIN:/);
    terminal.type('\r');
    expect(await terminal.end()).toMatchObject({ outcome: { kind: 'cancelled' }, restored: true });
  });

  test('gives up by itself when nobody types', async () => {
    await using terminal = new Terminal({ source, timeoutMs: 1_000 });
    expect(await terminal.end()).toMatchObject({ outcome: { kind: 'unanswered' }, restored: true });
  });
});
