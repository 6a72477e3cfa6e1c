import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';

/** What bounds the young generation of the heap has to be said on the command line, in every place that has one. */
test('the gateway is started with one and the same option of Node, wherever it is started', async () => {
  const [shebang = ''] = (await readFile('src/main.ts', 'utf8')).split('\n');
  const option = /^#!\/usr\/bin\/env -S node (--max-semi-space-size=\d+)$/.exec(shebang)?.[1] ?? 'none';
  for (const file of [
    'docker/Dockerfile',
    'scripts/start.mjs',
    'test/bench/imap/gateway.ts',
    'test/bench/relay/gateway.ts',
  ]) {
    expect(await readFile(file, 'utf8'), file).toContain(option);
  }
});
