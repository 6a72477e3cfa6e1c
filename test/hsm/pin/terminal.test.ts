import { describe, expect, test } from 'vitest';
import { TypedLine } from '../../../src/hsm/pin/typed-line.ts';
import { LOG_IN, Terminal } from './support/terminal.ts';

const PIN = '739105';
const console = { ask: 'console' } as const;

describe('the terminal', { concurrent: true }, () => {
  test('asks with the card, its number and its reader, and shows nothing of the PIN', async () => {
    await using terminal = new Terminal({ source: console });
    await terminal.sees(/PIN: $/);
    terminal.type(`${PIN}\r`);
    const { outcome, restored } = await terminal.end();
    expect(outcome).toEqual({ kind: 'pin', pin: PIN, identity: null });
    expect(restored).toBe(true);
    expect(terminal.seen).toMatch(/"ALICE"[\s\S]*0815[\s\S]*Reader 00 00/);
    expect(terminal.seen).not.toContain(PIN);
    expect(terminal.seen).not.toContain('*');
  });

  test('says what went wrong before and how many tries are left', async () => {
    const token = { ...LOG_IN.token, tries: 'final-try' } as const;
    const prompt = { ...LOG_IN, token, previousError: 'The PIN was not right.' };
    await using terminal = new Terminal({ source: console, prompt });
    await terminal.sees(/LAST TRY[\s\S]*The PIN was not right\.[\s\S]*PIN: $/);
    terminal.type('\x03');
    expect(await terminal.end()).toMatchObject({ restored: true });
  });

  test('obeys nothing that a card calls itself', async () => {
    const label = 'A\x1b]0;owned\x07\r\nPIN: \u202e';
    const prompt = { ...LOG_IN, token: { ...LOG_IN.token, label } };
    await using terminal = new Terminal({ source: console, prompt });
    await terminal.sees(/\nPIN: $/);
    terminal.type('\x03');
    await terminal.end();
    expect(terminal.seen).toContain('A?]0;owned???PIN: ?');
    expect(terminal.seen).not.toMatch(/[\x1b\x07\u202e]/);
  });

  test.each([
    ['Ctrl-C', '12\x03'],
    ['Ctrl-D', '\x04'],
    ['Enter alone', '\r'],
    ['Ctrl-C behind half an escape sequence', '\x1b[\x03'],
  ])('%s cancels, and only the prompt', async (_, keys) => {
    await using terminal = new Terminal({ source: console });
    await terminal.sees(/PIN: $/);
    terminal.type(keys);
    expect(await terminal.end()).toMatchObject({ outcome: { kind: 'cancelled' }, restored: true, status: 0 });
  });

  test('takes characters back', async () => {
    await using terminal = new Terminal({ source: console });
    await terminal.sees(/PIN: $/);
    terminal.type(`wrong\x15${PIN}é\x7f\r`);
    expect(await terminal.end()).toMatchObject({ outcome: { kind: 'pin', pin: PIN } });
  });

  test('waits no longer than it may', async () => {
    await using terminal = new Terminal({ source: console, timeoutMs: 300 });
    expect(await terminal.end()).toMatchObject({ outcome: { kind: 'unanswered' }, restored: true });
  });

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
    ['SIGQUIT', 131],
  ] as const)('is as it was after %s, which ends the program as ever', async (signal, expected) => {
    await using terminal = new Terminal({ source: console });
    await terminal.sees(/PIN: $/);
    process.kill(await terminal.asker(), signal);
    expect(await terminal.end()).toEqual({ outcome: null, restored: true, status: expected });
  });

  test('that is not there is said, with what to do', async () => {
    // setsid: a session without a terminal, as a daemon has.
    const { spawn } = await import('node:child_process');
    const script = `
      import { askOnTerminal } from ${JSON.stringify(new URL('../../../src/hsm/pin/terminal.ts', import.meta.url).href)};
      process.stdout.write(JSON.stringify(await askOnTerminal(${JSON.stringify(LOG_IN)})));`;
    const child = spawn('setsid', ['-w', process.execPath, '--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    for await (const chunk of child.stdout) text += String(chunk);
    expect(JSON.parse(text)).toMatchObject({
      kind: 'unavailable',
      publicText: expect.stringContaining('There is no terminal'),
    });
  });
});

describe('a typed line', () => {
  test('that is too long is not cut but refused', () => {
    const line = new TypedLine();
    expect(line.take(Buffer.alloc(1_025, 0x31))).toBeNull();
    expect(line.overflowed).toBe(true);
  });

  test('takes whole characters back, and none that are not there', () => {
    const line = new TypedLine();
    expect(line.take(Buffer.from('a€\x7f\x7f\x7f\x7fb\r'))).toBe('entered');
    expect(line.text().toString()).toBe('b');
  });

  test.each([
    ['an arrow', '1\x1b[A2\r'],
    ['F1', '1\x1bOP2\r'],
    ['a key with parameters', '1\x1b[15;5~2\r'],
    ['Alt and a letter', '1\x1bx2\r'],
    ['Escape twice and an arrow', '1\x1b\x1b[B2\r'],
  ])('has nothing of %s in it, however it comes', (_, keys) => {
    for (const chunks of [[keys], [...keys]]) {
      const line = new TypedLine();
      const ends = chunks.map((chunk) => line.take(Buffer.from(chunk)));
      expect(ends.at(-1)).toBe('entered');
      expect(line.text().toString()).toBe('12');
    }
  });

  test('leaves nothing behind when it is wiped', () => {
    const line = new TypedLine();
    line.take(Buffer.from('1234'));
    line.wipe();
    expect(line.text()).toHaveLength(0);
    line.take(Buffer.from('5'));
    expect(line.text().toString()).toBe('5');
  });
});
