import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import { requireCommand } from '../require-command.ts';

export type PostfixInstance = {
  logText(): Promise<string>;
  /** `abort`: at once, without finishing what it does. */
  stop(how?: 'stop' | 'abort'): Promise<void>;
};

export type PostfixConfiguration = {
  /** Lines of main.cf besides those about its own folders. */
  settings: readonly string[];
  /** Lines of master.cf besides those that every Postfix needs: where it listens, and what delivers. */
  services: readonly string[];
};

/**
 * A real Postfix of its own, with its queue in a temporary folder.
 *
 * @param configure told the folder of its configuration, where files may be put before it starts
 * @throws Error where this is not root: Postfix starts only as root
 */
export async function startPostfixInstance(
  configure: (etc: string) => Promise<PostfixConfiguration> | PostfixConfiguration,
): Promise<PostfixInstance> {
  const program = await requireCommand('postfix');
  if (process.getuid?.() !== 0) throw new Error('Postfix starts only as root');
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-postfix-'));
  await chmod(folder, 0o755);
  const etc = join(folder, 'etc');
  for (const each of [etc, join(folder, 'queue'), join(folder, 'data')]) await mkdir(each, { mode: 0o755 });
  await chown(join(folder, 'data'), ...(await postfixOwner()));
  const { settings, services } = await configure(etc);
  const main = [
    'compatibility_level = 3.6',
    ...[`queue_directory = ${folder}/queue`, `data_directory = ${folder}/data`],
    ...[`maillog_file = ${folder}/log`, `maillog_file_prefixes = ${folder}`],
    ...['mydestination =', 'alias_maps =', 'inet_protocols = ipv4'],
    ...settings,
  ];
  const master = [
    ...services,
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'rewrite unix - - n - - trivial-rewrite',
    'bounce unix - - n - 0 bounce',
    'defer unix - - n - 0 bounce',
    'proxymap unix - - n - - proxymap',
    'anvil unix - - n - 1 anvil',
    'postlog unix-dgram n - n - 1 postlogd',
  ];
  await writeFile(join(etc, 'main.cf'), `${main.join('\n')}\n`);
  await writeFile(join(etc, 'master.cf'), `${master.join('\n')}\n`);
  await runProgram(program, ['-c', etc, 'start']);
  return {
    logText: () => readFile(join(folder, 'log'), 'latin1'),
    async stop(how = 'stop') {
      await runProgram(program, ['-c', etc, how]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function postfixOwner(): Promise<[uid: number, gid: number]> {
  const lines = (await readFile('/etc/passwd', 'latin1')).split('\n');
  const [, , uid, gid] = lines.find((line) => line.startsWith('postfix:'))?.split(':') ?? [];
  if (uid === undefined || gid === undefined) throw new Error('there is no user postfix');
  return [Number(uid), Number(gid)];
}
