import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runToEnd } from '../../../src/evaluation/run-program.ts';
import { requireCommand } from '../require-command.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';

/** The IMAP client mbsync, which mirrors a whole mailbox into a Maildir and remembers what it has seen. */
export type Mbsync = {
  /** The mirrored Maildir of INBOX (folders cur, new, tmp). */
  readonly inbox: string;
  /** Where the mirror and mbsync's memory of it lie; when a second run changes nothing here, nothing was new. */
  readonly folder: string;
  sync(): Promise<{ succeeded: boolean; transcript: string }>;
};

export type MbsyncOptions = {
  port: number;
  login: string;
  password: string;
  tls?: 'none' | 'starttls' | 'implicit';
  /** The CA that the server must show (PEM file); needed with TLS. */
  caFile?: string;
  /** Which mailboxes; all without it. */
  patterns?: string;
  /** How it logs in; LOGIN without it. */
  mechanism?: string;
  /** Commands under way at a time; without it as many as there are. */
  pipelineDepth?: number;
  /** Extensions that are not used, whatever the server offers. */
  without?: string;
  /** Octets; larger mail is not mirrored. */
  maxSize?: number;
};

export async function mbsync(options: MbsyncOptions): Promise<Started<Mbsync>> {
  const program = await requireCommand('mbsync');
  const { folder: home, remove } = await temporaryFolder('mbsync');
  const folder = join(home, 'mirror');
  const inbox = join(folder, 'INBOX');
  await mkdir(folder);
  const passwordFile = join(home, 'password');
  await writeFile(passwordFile, `${options.password}\n`, { mode: 0o600 });
  const configFile = join(home, 'mbsyncrc');
  const ssl = { none: 'None', starttls: 'STARTTLS', implicit: 'IMAPS' }[options.tls ?? 'none'];
  await writeFile(
    configFile,
    `FSync no

IMAPAccount far
Host localhost
Port ${options.port}
User "${options.login}"
PassCmd "cat ${passwordFile}"
SSLType ${ssl}
AuthMechs ${options.mechanism ?? 'LOGIN'}
${lines(options.caFile, (file) => `SystemCertificates no\nCertificateFile ${file}`)}${lines(options.pipelineDepth, (depth) => `PipelineDepth ${depth}`)}${lines(options.without, (extensions) => `DisableExtensions ${extensions}`)}
IMAPStore far
Account far

MaildirStore near
Path ${folder}/
Inbox ${inbox}
SubFolders Verbatim
${lines(options.maxSize, (octets) => `MaxSize ${octets}`)}
Channel all
Far :far:
Near :near:
Patterns ${options.patterns ?? '*'}
Create Near
Expunge None
SyncState *
`,
  );
  return started<Mbsync>({
    inbox,
    folder,
    async sync() {
      const args = ['--config', configFile, '--verbose', '--all'];
      const { failure, stdout, stderr } = await runToEnd(program, args, { env: { HOME: home } });
      return { succeeded: failure === null, transcript: stdout.toString('utf8') + stderr };
    },
    stop: remove,
  });
}

/** Lines of a section, where there is a value for them; a blank line would end it. */
function lines<Value>(value: Value | undefined, text: (value: Value) => string): string {
  return value === undefined ? '' : `${text(value)}\n`;
}
