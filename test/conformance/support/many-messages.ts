import { chown, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImapClient, Piece } from './imap-client.ts';
import { outerFields } from './message-classes.ts';

/** Puts many messages into a mailbox at once (RFC 3502), past the gateway; they take the next UIDs in their order. */
export async function appendAll(
  direct: ImapClient,
  name: string,
  messages: readonly Buffer[],
): Promise<void> {
  for (let at = 0; at < messages.length; at += 500) {
    const pieces: Piece[] = [`APPEND ${name}`];
    for (const message of messages.slice(at, at + 500)) pieces.push(' ', message);
    await direct.ok(...pieces);
  }
}

/** Lays thousands of messages into a Maildir that is there, as a delivery would; the mail server finds them. */
export async function layInto(maildir: string, messages: readonly Buffer[]): Promise<void> {
  const { uid, gid } = await stat(maildir);
  for (let at = 0; at < messages.length; at += 200) {
    await Promise.all(
      messages.slice(at, at + 200).map(async (message, index) => {
        const file = join(maildir, 'new', `1700000000.M${String(at + index).padStart(6, '0')}.here`);
        await writeFile(file, message);
        await chown(file, uid, gid);
      }),
    );
  }
}

/** A small mail that nobody has to open. */
export function smallMail(subject: string): Buffer {
  return Buffer.from(
    `${outerFields(subject).join('\r\n')}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nHello.\r\n`,
  );
}
