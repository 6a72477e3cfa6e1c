import { createHash } from 'node:crypto';
import type { OctetStream } from '../octets/source.ts';
import type { StoredMessage } from '../reading/stored-message.ts';
import { writeCommand } from './command-line.ts';
import type { TransactionContext } from './transaction-context.ts';

/**
 * Asks for the unique id of a message whose view may be needed, ahead of the command that needs it. The returned function reads
 * the answer, and has to be called before any later answer is read. null: the server has no unique id for it.
 */
export function askName(context: TransactionContext, message: number): () => Promise<StoredMessage | null> {
  const { maildrop, upstream } = context;
  const known = maildrop.name(message);
  if (known !== null || maildrop.kind(message) === 'identity' || !maildrop.hasUidl) return async () => known;
  const question = upstream.ask(writeCommand({ verb: 'UIDL', message }), 'line');
  return async () => {
    const status = await question.status();
    if (status.kind === 'ok') maildrop.learnUidl(status.text.replace(/^\+OK +/i, ''));
    return maildrop.name(message);
  };
}

/**
 * The name of a message on a server without UIDL: what it is, all of it, so that no two messages have one name. Nothing else would
 * do: what a view said of a message must never be said of another one.
 */
export async function nameByContent(message: OctetStream): Promise<StoredMessage> {
  const hash = createHash('sha256');
  for await (const chunk of message) hash.update(chunk);
  // No unique id of a server has a blank.
  return { protocol: 'pop3', uidl: `message ${hash.digest('hex')}` };
}

/** For a listing without UIDL, where there is no more than the header: a boundary is made from it, and nothing is remembered. */
export function nameByHeader(header: Buffer): StoredMessage {
  return { protocol: 'pop3', uidl: `header ${createHash('sha256').update(header).digest('hex')}` };
}
