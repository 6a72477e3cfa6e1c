import { describe, expect, test } from 'vitest';
import { project } from './project.ts';

const WAITS_FOR_SIGTERM = `
process.on('SIGTERM', () => { console.log('told to stop'); process.exitCode = 7; clearInterval(alive); });
const alive = setInterval(() => undefined, 1000);
console.log('arguments', process.argv.slice(2).join(' '));
`;

describe('npm start', () => {
  test('runs the gateway with its arguments, hands SIGTERM on and ends with its exit code', async () => {
    await using clone = await project();
    await clone.write('src/main.ts', WAITS_FOR_SIGTERM);
    const run = clone.start('start.mjs', ['--config', 'mine.yaml']);
    await run.says('arguments serve --config mine.yaml');
    // Ctrl-C reaches the gateway by itself; whoever started it must not end before it.
    run.child.kill('SIGINT');
    run.child.kill('SIGTERM');
    expect(await run.ended).toBe(7);
    expect(run.output()).toContain('told to stop');
  });

  test('installs nothing and says nothing when everything is there', async () => {
    await using clone = await project();
    await clone.write('src/main.ts', "console.log('running')");
    await clone.write('config/gateway.yaml', '');
    const run = clone.start('start.mjs');
    expect(await run.ended).toBe(0);
    expect(run.output()).toBe('running\n');
  });

  test('a gateway killed by a signal is a failure', async () => {
    await using clone = await project();
    await clone.write('src/main.ts', "process.kill(process.pid, 'SIGKILL')");
    expect(await clone.start('start.mjs', ['--config', 'mine.yaml']).ended).toBe(137);
  });

  test('a broken lock file is one sentence and exit code 1', async () => {
    await using clone = await project();
    await clone.write('package-lock.json', '<<<<<<< HEAD');
    const run = clone.start('start.mjs', ['--config', 'mine.yaml']);
    expect(await run.ended).toBe(1);
    expect(run.output()).toBe(
      'package-lock.json is missing or broken: restore it with "git checkout package-lock.json".\n',
    );
  });
});

describe('Debian packages', () => {
  test('that are missing are named with the command to type, when one is not root', async () => {
    await using clone = await project();
    const run = clone.start('debian.mjs', ['openssl', 'sealgate-absent'], { unprivileged: true });
    expect(await run.ended).toBe(1);
    expect(run.output()).toBe(
      'Missing as asked: run "apt-get install --no-install-recommends sealgate-absent" as root, then run again.\n',
    );
  });

  test('that are there cost nothing', async () => {
    await using clone = await project();
    const run = clone.start('debian.mjs', ['openssl'], { unprivileged: true });
    expect(await run.ended).toBe(0);
    expect(run.output()).toBe('');
  });
});
