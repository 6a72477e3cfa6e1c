import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ProgramEnd, runToEnd } from '../../../src/evaluation/run-program.ts';
import { requireCommand } from '../require-command.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';

/** A program that pulls INBOX into files and remembers what it has. */
export type PullingClient = {
  pull(): Promise<{ succeeded: boolean; transcript: string }>;
  /** What has been pulled so far, with the line ends that the program writes (LF). */
  mails(): Promise<Buffer[]>;
  stop(): Promise<void>;
};

export type PullingOptions = {
  /** IMAP with implicit TLS on localhost. */
  port: number;
  login: string;
  password: string;
  caFile: string;
};

/** fetchmail, one file for each mail. */
export async function fetchmail(options: PullingOptions): Promise<Started<PullingClient>> {
  const program = await requireCommand('fetchmail');
  const { folder: home, remove } = await temporaryFolder('fetchmail');
  const mails = join(home, 'mails');
  await mkdir(mails);
  const rc = join(home, 'fetchmailrc');
  await writeFile(
    rc,
    `set invisible
poll localhost protocol IMAP service ${options.port}
  user "${options.login}" password "${options.password}"
  ssl sslcertck sslcertfile "${options.caFile}" sslproto "TLS1.2+"
  keep no rewrite no mimedecode
  mda "${await receivingProgram(home, mails)}"
`,
    { mode: 0o600 },
  );
  const args = ['-f', rc, '--pidfile', join(home, 'pid'), '-i', join(home, 'ids')];
  return client(
    async () => {
      const end = await runToEnd(program, args, { env: { HOME: home } });
      // 1: there was nothing new.
      return end.failure === 'exit code 1' ? { ...end, failure: null } : end;
    },
    [mails],
    remove,
  );
}

/** getmail6, which asks for all sizes first. */
export async function getmail(options: PullingOptions): Promise<Started<PullingClient>> {
  const program = await requireCommand('getmail');
  const { folder: home, remove } = await temporaryFolder('getmail');
  const mails = join(home, 'mails');
  await mkdir(mails);
  await writeFile(
    join(home, 'getmailrc'),
    `[retriever]
type = SimpleIMAPSSLRetriever
server = localhost
port = ${options.port}
username = ${options.login}
password = ${options.password}
ca_certs = ${options.caFile}
mailboxes = ("INBOX",)
[destination]
type = MDA_external
path = ${await receivingProgram(home, mails)}
allow_root_commands = true
[options]
delete = false
read_all = false
delivered_to = false
received = false
verbose = 2
`,
    { mode: 0o600 },
  );
  const args = ['--getmaildir', home, '--rcfile', 'getmailrc'];
  return client(() => runToEnd(program, args, { env: { HOME: home } }), [mails], remove);
}

/** OfflineIMAP, which mirrors into a Maildir. */
export async function offlineimap(options: PullingOptions): Promise<Started<PullingClient>> {
  const program = await requireCommand('offlineimap');
  const { folder: home, remove } = await temporaryFolder('offlineimap');
  const rc = join(home, 'offlineimaprc');
  await writeFile(
    rc,
    `[general]
accounts = account
metadata = ${join(home, 'metadata')}
ui = basic
[Account account]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = ${join(home, 'mirror')}
[Repository far]
type = IMAP
remotehost = localhost
remoteport = ${options.port}
ssl = yes
sslcacertfile = ${options.caFile}
remoteuser = ${options.login}
remotepass = ${options.password}
auth_mechanisms = PLAIN, LOGIN
folderfilter = lambda name: name == 'INBOX'
`,
    { mode: 0o600 },
  );
  const inbox = join(home, 'mirror', 'INBOX');
  const run = (): Promise<ProgramEnd> => runToEnd(program, ['-o', '-c', rc], { env: { HOME: home } });
  return client(run, [join(inbox, 'new'), join(inbox, 'cur')], remove);
}

/**
 * A program that puts what it is given into a new file of `folder`. getmail misses its end, and waits three minutes, where it comes
 * before getmail has begun to wait (getmailcore/baseclasses.py): it ends when its parent sleeps.
 */
async function receivingProgram(home: string, folder: string): Promise<string> {
  const file = join(home, 'receive');
  const lines = [
    '#!/bin/sh',
    `cat > "$(mktemp '${folder}/XXXXXXXXXX')"`,
    // proc(5): `pid (command) state …`.
    'until read -r pid name state rest < "/proc/$PPID/stat" && [ "$state" = S ]; do :; done',
  ];
  await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o700 });
  return file;
}

function client(
  run: () => Promise<ProgramEnd>,
  folders: readonly string[],
  remove: () => Promise<void>,
): Started<PullingClient> {
  return started<PullingClient>({
    async pull() {
      const { failure, stdout, stderr } = await run();
      return {
        succeeded: failure === null,
        transcript: `${stdout.toString('utf8')}${stderr}${failure ?? ''}`,
      };
    },
    async mails() {
      const files = await Promise.all(
        folders.map(async (folder) => (await readdir(folder)).map((name) => join(folder, name))),
      );
      return Promise.all(files.flat().map((file) => readFile(file)));
    },
    stop: remove,
  });
}
