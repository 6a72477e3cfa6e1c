import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { holdAlone } from '../../src/store/sole-holder.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-holder-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** Another process, once it has said whether it holds the folder: `held`, or the code of the error. */
async function another(): Promise<{ said: string; kill(): Promise<void> }> {
  const module = join(import.meta.dirname, '../../src/store/sole-holder.ts');
  const code = `
    const { holdAlone } = await import(${JSON.stringify(module)});
    try { globalThis.kept = holdAlone(${JSON.stringify(folder)}); console.log('held'); } catch (error) { console.log(error.code); }
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = await once(child.stdout, 'data');
  return {
    said: String(said).trim(),
    async kill() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
const inUse = expect.objectContaining({ code: 'queue.in-use' });

test('one holds it, and nobody else in this process or in another one', async () => {
  const first = holdAlone(folder);
  expect(() => holdAlone(folder)).toThrow(inUse);
  const other = await another();
  expect(other.said).toBe('queue.in-use');
  await other.kill();
  await first.close();
  await holdAlone(folder).close();
});

test('a process that holds it keeps everybody out until it is killed', async () => {
  const other = await another();
  expect(other.said).toBe('held');
  expect(() => holdAlone(folder)).toThrow(inUse);
  await other.kill();
  await holdAlone(folder).close();
});

test('a folder that is not there is said', () => {
  expect(() => holdAlone(join(folder, 'none'))).toThrow(expect.objectContaining({ code: 'store.unusable' }));
});
