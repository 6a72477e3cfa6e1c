import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runToEnd } from '../../../src/evaluation/run-program.ts';
import { requireCommand } from '../require-command.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';

/** The SMTP client swaks, one run for each mail. */
export type Swaks = { send(mail: SwaksMail): Promise<SwaksOutcome> };

export type SwaksMail = {
  port: number;
  from: string;
  to: readonly string[];
  auth?: { login: string; password: string; mechanism?: 'PLAIN' | 'LOGIN' };
  tls?: 'none' | 'starttls' | 'implicit';
  /** The CA that the server must show (PEM file); needs `tls`. */
  caFile?: string;
  /** The whole message with CRLF or LF line ends. */
  message: string | Buffer;
  /** More options, for example `['--quit-after', 'RCPT']`. */
  options?: readonly string[];
};

export type SwaksOutcome = {
  /** Whether swaks exited with 0: every command was answered as it should be. */
  accepted: boolean;
  /** The conversation: `->` and `~>` what swaks said, `<-` and `<~` what it heard, `**` errors. */
  transcript: string;
};

export async function swaks(): Promise<Started<Swaks>> {
  const program = await requireCommand('swaks');
  const { folder, remove } = await temporaryFolder('swaks');
  let count = 0;
  return started<Swaks>({
    async send(mail) {
      const base = join(folder, String(count++));
      await writeFile(`${base}.eml`, asData(mail.message));
      // The password is in a file: arguments are for everybody to read.
      await writeFile(`${base}.conf`, configuration(mail, `${base}.eml`), { mode: 0o600 });
      const args = ['--config', `${base}.conf`, ...(mail.options ?? [])];
      const { failure, stdout, stderr } = await runToEnd(program, args, { env: { HOME: folder } });
      return { accepted: failure === null, transcript: stdout.toString('utf8') + stderr };
    },
    stop: remove,
  });
}

function configuration(mail: SwaksMail, file: string): string {
  const lines = [
    'server localhost',
    `port ${mail.port}`,
    `from ${mail.from}`,
    `to ${mail.to.join(',')}`,
    `data @${file}`,
    // The octets of the file as they are.
    'no-data-fixup',
    'suppress-data',
    'auth-hide-password',
  ];
  if (mail.tls === 'starttls') lines.push('tls');
  if (mail.tls === 'implicit') lines.push('tls-on-connect');
  if (mail.caFile !== undefined) lines.push('tls-verify', `tls-ca-path ${mail.caFile}`);
  if (mail.auth !== undefined) {
    lines.push(`auth ${mail.auth.mechanism ?? 'PLAIN'}`);
    lines.push(`auth-user ${mail.auth.login}`, `auth-password ${mail.auth.password}`);
  }
  return `${lines.join('\n')}\n`;
}

/** CRLF, dot-stuffed, with the end of data (RFC 5321 §4.5.2). */
function asData(message: string | Buffer): Buffer {
  const text = (typeof message === 'string' ? Buffer.from(message, 'utf8') : message).toString('latin1');
  const lines = text.replaceAll('\r\n', '\n').replace(/\n$/, '').split('\n');
  const stuffed = lines.map((line) => (line.startsWith('.') ? `.${line}` : line));
  return Buffer.from(`${stuffed.join('\r\n')}\r\n.`, 'latin1');
}
