import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { afterEach, expect, test } from 'vitest';

let child: ChildProcess | null = null;
afterEach(() => child?.kill('SIGKILL'));

/** A process that says when it is told to stop, and each time that it is asked whether it is there. */
function started(oneStopMs: string): { child: ChildProcess; line(): Promise<string> } {
  const module = JSON.stringify(pathToFileURL('src/commands/stop-signal.ts').href);
  const script = `const { stopSignal } = await import(${module});
    stopSignal(${oneStopMs}).addEventListener('abort', () => console.log('stopping'));
    process.stdin.on('data', () => console.log('here'));
    console.log('started');`;
  child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  if (child.stdout === null) throw new Error('no output');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { child, line: async () => String((await lines.next()).value) };
}

test('a stop that npm, a script and the service manager each hand on is one: it goes on in order', async () => {
  const { child: process, line } = started('');
  expect(await line()).toBe('started');
  process.kill('SIGTERM');
  expect(await line()).toBe('stopping');
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGTERM'] as const) process.kill(signal);
  for (let i = 0; i < 3; i++) {
    process.stdin?.write('?\n');
    expect(await line()).toBe('here');
  }
});

test('whoever says it again later does not want to wait', async () => {
  const { child: process, line } = started('0');
  expect(await line()).toBe('started');
  process.kill('SIGTERM');
  expect(await line()).toBe('stopping');
  process.kill('SIGTERM');
  expect(await once(process, 'exit')).toEqual([null, 'SIGTERM']);
});
