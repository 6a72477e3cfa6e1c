import { withProtectedFields } from '../mail-view/protected-fields.ts';
import { outerFields } from '../mail-view/shape.ts';
import type { ReaderViews } from '../reading/reader-views.ts';
import type { StoredMessage } from '../reading/stored-message.ts';

/** Whether the shell of every message is known without opening it. */
export function hasConstantShell(views: ReaderViews): boolean {
  return views.shellOf({ protocol: 'pop3', uidl: '' }) !== null;
}

/**
 * The header of a message in the shell as a listing shows it, made from the stored one without any key: the view's fields, but for
 * the status. Where the shell is known only once a message was opened, there is none.
 */
export async function shellHeader(
  stored: Buffer,
  message: StoredMessage,
  views: ReaderViews,
): Promise<Buffer> {
  await views.recall(message);
  const fields = withProtectedFields(
    outerFields(stored, views.names),
    views.shownHeader(message)?.fields ?? null,
  );
  return Buffer.from([...fields, ...(views.shellOf(message) ?? []), '\r\n'].join(''), 'latin1');
}
