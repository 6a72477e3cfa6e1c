import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runToEnd } from '../../../src/evaluation/run-program.ts';
import { requireCommand } from '../require-command.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';
import type { PullingOptions } from './pulling-clients.ts';

/** mutt or neomutt on a terminal of its own, with caches for headers and bodies that outlive it. */
export type Mutt = {
  /** Starts it, copies all of INBOX into a file and ends it: that file, an mbox. */
  session(): Promise<{ succeeded: boolean; mbox: Buffer }>;
  stop(): Promise<void>;
};

export async function mutt(name: 'mutt' | 'neomutt', options: PullingOptions): Promise<Started<Mutt>> {
  const program = await requireCommand(name);
  // script(1) gives it the terminal.
  const terminal = await requireCommand('script');
  const { folder: home, remove } = await temporaryFolder(name);
  for (const cache of ['headers', 'bodies']) await mkdir(join(home, cache));
  const rc = join(home, 'rc');
  const settings = {
    imap_user: options.login,
    imap_pass: options.password,
    folder: `imaps://localhost:${options.port}`,
    spoolfile: '+INBOX',
    ssl_ca_certificates_file: options.caFile,
    header_cache: join(home, 'headers'),
    message_cachedir: join(home, 'bodies'),
    mbox_type: 'mbox',
  };
  const yes = ['quit', 'ssl_verify_host', 'imap_peek'];
  const no = [
    'copy',
    'delete',
    'confirmappend',
    'confirmcreate',
    'mark_old',
    'ssl_usesystemcerts',
    'crypt_use_gpgme',
  ];
  await writeFile(
    rc,
    [
      ...Object.entries(settings).map(([key, value]) => `set ${key}="${value}"\n`),
      ...yes.map((key) => `set ${key}=yes\n`),
      ...no.map((key) => `set ${key}=no\n`),
      'set sleep_time=0\n',
    ].join(''),
    { mode: 0o600 },
  );
  let sessions = 0;
  return started<Mutt>({
    async session() {
      const copy = join(home, `copy${++sessions}`);
      const keys = `<tag-pattern>~A<enter><tag-prefix><copy-message>${copy}<enter><exit>`;
      const command = `${program} -n -F ${rc} -e 'push "${keys}"'`;
      const env = { HOME: home, TERM: 'xterm' };
      const { failure } = await runToEnd(terminal, ['-qec', command, '/dev/null'], { env });
      return { succeeded: failure === null, mbox: await readFile(copy) };
    },
    stop: remove,
  });
}
