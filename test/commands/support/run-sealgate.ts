import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

export type Ended = { code: number | null; out: string; error: string };

/**
 * Runs the real program, without the secrets and the configuration of whoever runs the tests.
 *
 * @param options.cache a folder of the test's own, in which Node keeps what it has compiled: most of the time of a short command
 */
export async function runSealgate(
  args: readonly string[],
  { env = {}, input = '', cache }: { env?: NodeJS.ProcessEnv; input?: string; cache?: string } = {},
): Promise<Ended> {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(?:SEALGATE_|DISPLAY$|WAYLAND_DISPLAY$)/.test(name),
  );
  const child = spawn(process.execPath, [resolve('src/main.ts'), ...args], {
    env: {
      ...Object.fromEntries(own),
      ...(cache === undefined ? {} : { NODE_COMPILE_CACHE: cache }),
      ...env,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended: Ended = { code: null, out: '', error: '' };
  child.stdout.on('data', (text: Buffer) => (ended.out += text.toString()));
  child.stderr.on('data', (text: Buffer) => (ended.error += text.toString()));
  // A command that does not read its input may have ended already.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  [ended.code] = (await once(child, 'close')) as [number | null];
  return ended;
}
