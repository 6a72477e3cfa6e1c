import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { addressOf, type MailSystem, startMailSystem } from '../../support/mail-system.ts';
import { ImapClient } from './imap-client.ts';

/** Alice has a key, and her sent mail and drafts are encrypted to it; Bob has none; Carol is like Alice. */
export type AtRestSystem = {
  system: MailSystem;
  through(name: string, ...commands: string[]): Promise<ImapClient>;
  direct(name: string, ...commands: string[]): Promise<ImapClient>;
  /** Every octet that Dovecot keeps for a login. */
  kept(name: string): Promise<Buffer>;
  /** How often a key was used. */
  keyUses(): number;
  stop(): Promise<void>;
};

/** @param dovecot more of its configuration */
export async function startAtRestSystem(rules?: readonly object[], dovecot = ''): Promise<AtRestSystem> {
  const system = await startMailSystem({
    users: ['alice', 'bob', 'carol'],
    withoutKeys: ['bob'],
    dovecot,
    append: {
      rules: rules ?? [{ specialUse: ['\\Sent', '\\Drafts'], mailbox: ['Safe*'], store: 'at-rest' }],
    },
  });
  const session = async (name: string, port: number, ca: string | undefined, commands: string[]) => {
    const client = await ImapClient.open(port, ca);
    await client.login(system.user(name).login, system.user(name).password);
    for (const command of commands) await client.ok(command);
    return client;
  };
  return {
    system,
    through: (name, ...commands) => session(name, system.imapPort, system.pki.ca.certificate, commands),
    direct: (name, ...commands) => session(name, system.dovecot.imapPort, undefined, commands),
    async kept(name) {
      const root = system.dovecot.mailFolder(system.user(name).login);
      const files = await readdir(root, { recursive: true, withFileTypes: true });
      const read = files
        .filter((file) => file.isFile())
        .map((file) => readFile(join(file.parentPath, file.name)));
      return Buffer.concat(await Promise.all(read));
    },
    keyUses: () => system.events.filter(({ event }) => event === 'key.used').length,
    stop: () => system.stop(),
  };
}

/** A mail of Alice's with everything that a listing shows, a blind copy, and line ends as they come. */
export function aliceWrites(subject: string, body: string | Buffer, further: readonly string[] = []): Buffer {
  const header = [
    `From: "Alice, who writes" <${addressOf('alice')}>`,
    `To: ${addressOf('bob')}, "C." <${addressOf('carol')}>`,
    'Bcc: hidden@example.org',
    `Subject: ${subject}`,
    `Message-ID: <${subject.replace(/\W/g, '')}@sealgate.test>`,
    'Date: Fri, 02 Jan 2026 03:04:05 +0000',
    'X-Mozilla-Draft-Info: internal/draft; vcard=0',
    'X-Priority: 1',
    ...further,
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary="b"',
    '',
    '--b',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    '',
  ];
  const end = ['', '--b', 'Content-Type: application/octet-stream', '', 'attached', '--b--', ''];
  return Buffer.concat([Buffer.from(header.join('\r\n')), Buffer.from(body), Buffer.from(end.join('\r\n'))]);
}
