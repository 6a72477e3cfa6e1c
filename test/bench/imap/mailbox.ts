import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dovecotAccounts } from '../../../src/evaluation/dovecot-accounts.ts';

/** A folder of a Maildir that does not exist yet: a file for each message, as deliveries leave them, with LF. */
export async function writeMailbox(
  maildir: string,
  name: string,
  messages: Iterable<Buffer> | AsyncIterable<Buffer>,
): Promise<void> {
  const { uid, gid } = (await dovecotAccounts()).mail;
  const folder = join(maildir, `.${name}`);
  for (const each of [maildir, folder, ...['cur', 'new', 'tmp'].map((part) => join(folder, part))]) {
    mkdirSync(each, { recursive: true });
    chownSync(each, uid, gid);
  }
  let count = 0;
  for await (const message of messages) {
    const stored = withLf(message);
    // Names are in the order of arrival; their sizes spare the server to look into each (Dovecot's S= and W=).
    const file = `${1_700_000_000 + count}.M${count}P1.bench,S=${stored.length},W=${message.length}:2,S`;
    writeFileSync(join(folder, 'cur', file), stored, { mode: 0o644 });
    count++;
  }
}

function withLf(message: Buffer): Buffer {
  const stored = Buffer.allocUnsafe(message.length);
  let length = 0;
  for (let at = 0; at < message.length; ) {
    const cr = message.indexOf('\r\n', at, 'latin1');
    const end = cr === -1 ? message.length : cr;
    length += message.copy(stored, length, at, end);
    if (cr !== -1) stored[length++] = 0x0a;
    at = end + 2;
  }
  return stored.subarray(0, length);
}
