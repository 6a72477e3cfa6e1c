import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { manageToken } from '../../../src/hsm/client/token-management.ts';
import type { ManagementRequest } from '../../../src/hsm/management-messages.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-token-management-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const anyToken = { label: null, serial: null, model: null, manufacturer: null, reader: null };
const login = { pin: { env: 'SEALGATE_TEST_PIN' }, useLastTry: false };

const frames = JSON.stringify(new URL('../../../src/hsm/wire/control-frames.ts', import.meta.url).href);
/** Lets a program say `process.send` and hear `message`, as with a channel of Node's own. */
const CHANNEL = `
  import { Socket } from 'node:net';
  import { ControlReader, controlFrame } from ${frames};
  const control = new Socket({ fd: 3, readable: true, writable: true });
  const reader = new ControlReader();
  control.on('data', (chunk) => { for (const each of reader.push(chunk)) process.emit('message', each); });
  process.send = (message) => control.write(controlFrame(message));
`;

/** A program in the place of the one that calls the module. */
async function withProgram(
  name: string,
  text: string,
  request: ManagementRequest = { kind: 'list' },
  options: { timeout?: number; progress?: (text: string) => void } = {},
) {
  const file = join(folder, `${name}.mjs`);
  await writeFile(file, `${CHANNEL}${text}`);
  return await manageToken({
    ...{ module: '/m.so', environment: {}, token: anyToken, program: pathToFileURL(file), request },
    ...options,
  });
}

describe('a module that misbehaves', () => {
  it.each([
    ['crashes', 'process.kill(process.pid, "SIGSEGV");', 'key.module-crashed'],
    ['ends without a word', 'process.once("message", () => process.exit(0));', 'key.module-crashed'],
    [
      'talks nonsense',
      'process.once("message", () => process.send({ kind: "answer" }));',
      'key.module-crashed',
    ],
    [
      'answers something else',
      'process.once("message", () => process.send({ kind: "answer", answer: { kind: "change-pin" } }));',
      'key.module-crashed',
    ],
    [
      'scribbles on the pipe',
      'process.once("message", () => control.write(Buffer.alloc(64, 0xff)));',
      'key.module-crashed',
    ],
    [
      'says what only Node would understand',
      'process.once("message", () => control.write(Buffer.from("00000004ffffffff", "hex")));',
      'key.module-crashed',
    ],
    ['says nothing', 'process.on("message", () => undefined);', 'key.module-silent'],
    ['never listens', 'while (true);', 'key.module-silent'],
  ])('%s: an error with the name of the library, and the process is gone', async (name, text, code) => {
    // Short where the time has to pass; else so long that the program has certainly begun.
    const timeout = code === 'key.module-silent' ? 700 : 10_000;
    const failed = withProgram(name, text, { kind: 'list' }, { timeout });
    await expect(failed).rejects.toMatchObject({ code, publicText: expect.stringContaining('/m.so') });
  });
});

describe('the watchdog', () => {
  it('sleeps while a person is asked, and wakes when the module works again', async () => {
    const program = `
      process.once('message', () => {
        process.send({ kind: 'asking' });
        setTimeout(() => {
          process.send({ kind: 'working', text: 'changing the PIN' });
          process.send({ kind: 'answer', answer: { kind: 'change-pin' } });
        }, 5_500);
      });`;
    const told: string[] = [];
    const request = { kind: 'change-pin' as const, login, newPin: { ask: 'console' as const } };
    // The person takes longer than that. The child is started within the time, since it counts from the beginning.
    const options = { timeout: 5_000, progress: (text: string) => void told.push(text) };
    await expect(withProgram('asks', program, request, options)).resolves.toEqual({ kind: 'change-pin' });
    expect(told).toEqual(['changing the PIN']);
  });
});

describe('what the process is given', () => {
  it('has the variables that the request names, and no other secret of the command', async () => {
    process.env.SEALGATE_TEST_PIN = 'named';
    process.env.SEALGATE_PASSWORD = 'not named';
    try {
      const program = `
        process.once('message', (message) => {
          const text = JSON.stringify([process.env, process.argv, message]);
          process.send({ kind: 'failed', code: 'test', publicText: text, duration: 'permanent', reason: '' });
        });`;
      const seen = await withProgram('environment', program, { kind: 'delete', label: 'x', login }).catch(
        (error: Error) => error.message,
      );
      const [environment, args, message] = JSON.parse(String(seen)) as [object, string[], unknown];
      expect(environment).toHaveProperty('SEALGATE_TEST_PIN', 'named');
      expect(environment).not.toHaveProperty('SEALGATE_PASSWORD');
      expect(JSON.stringify([args, message])).not.toContain('named');
    } finally {
      delete process.env.SEALGATE_TEST_PIN;
      delete process.env.SEALGATE_PASSWORD;
    }
  });
});
