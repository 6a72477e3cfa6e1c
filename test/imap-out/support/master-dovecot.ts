import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImapFlow } from 'imapflow';
import { temporaryFolder } from '../../support/services/disposable.ts';

/** The master user of a Dovecot. */
export const MASTER = { user: 'gateway', password: 'öpen "sesame"' };

/** Settings for a Dovecot that lets it in for others, as `LOGIN*gateway`. */
export async function masterSettings(): Promise<{ settings: string; remove: () => Promise<void> }> {
  const { folder, remove } = await temporaryFolder('master');
  const file = join(folder, 'masters');
  const secret = Buffer.from(MASTER.password, 'utf8').toString('base64');
  await writeFile(file, `${MASTER.user}:{PLAIN.b64}${secret}::::::\n`, { mode: 0o600 });
  const settings = `
auth_master_user_separator = *
passdb {
  driver = passwd-file
  args = ${file}
  master = yes
}
`;
  return { settings, remove };
}

export type Kept = { source: Buffer; flags: readonly string[] };

/** What a mailbox has, as its owner sees it. */
export async function mailsIn(
  port: number,
  { login, password }: { login: string; password: string },
  mailbox: string,
): Promise<Kept[]> {
  const client = new ImapFlow({
    ...{ host: '127.0.0.1', port, secure: false, doSTARTTLS: false, logger: false },
    auth: { user: login, pass: password },
  });
  await client.connect();
  try {
    const listed = (await client.list()).find(({ path }) => path === mailbox);
    if (listed === undefined) return [];
    if (!listed.subscribed && mailbox !== 'INBOX' && mailbox !== 'Sent') throw new Error('not subscribed');
    const lock = await client.getMailboxLock(mailbox, { readOnly: true });
    try {
      const kept: Kept[] = [];
      if (client.mailbox === false || client.mailbox.exists === 0) return kept;
      for await (const { source, flags } of client.fetch('1:*', { source: true, flags: true })) {
        kept.push({ source: source ?? Buffer.alloc(0), flags: [...(flags ?? [])] });
      }
      return kept;
    } finally {
      lock.release();
    }
  } finally {
    await client.logout();
  }
}
