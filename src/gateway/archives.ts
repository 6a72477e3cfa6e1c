import { type MailServerOptions, prepareMailServer } from '../connections/mail-server.ts';
import { type Archive, checkArchives } from '../imap-out/archive.ts';
import { ArchiveCourier } from '../imap-out/archive-courier.ts';
import { QueuedCopies } from '../imap-out/queued-copies.ts';
import type { ArchiveCopies } from '../pipeline/archive-copies.ts';
import type { Notices } from '../pipeline/notices.ts';
import { OwnNotices } from '../queue/notices.ts';
import type { Opening } from './opening.ts';
import type { OwnQueue } from './queue.ts';

/** What the way out puts into the queue beside the mail; null: the configuration has none. */
export type CopiesAndNotices = { archives: ArchiveCopies | null; notices: Notices | null };

/**
 * Before the queue is started.
 *
 * @throws SealgateError `upstream.ca-file` (permanent)
 */
export async function openCopies(
  { config, log, clock }: Opening,
  own: OwnQueue | null,
): Promise<CopiesAndNotices> {
  if (own === null || config.queue === null) return { archives: null, notices: null };
  const { queue, ownMails } = own;
  const { hostname } = config;
  const { days } = config.queue;
  const notices = new OwnNotices({ queue, ownMails, hostname, log });
  if (config.archives.length === 0) return { archives: null, notices };
  const archives = await Promise.all(config.archives.map(prepared));
  own.appendBy(new ArchiveCourier({ archives, clock, log }));
  return { archives: new QueuedCopies({ archives, queue, days, clock, log }), notices };
}

/** Whether copies could be stored; nothing is called. */
export function archivesWithoutQueue({ archives }: Opening['config']): Pick<ArchiveCopies, 'check'> {
  return { check: (login, names) => checkArchives(archives, login, names) };
}

async function prepared(settings: Opening['config']['archives'][number]): Promise<Archive> {
  const { name, host, port, tls, allowPlaintext, ca, serverName, login, password, mailbox } = settings;
  const options: MailServerOptions = {
    ...{ host, port, tls, allowPlaintext },
    ...(ca === null ? {} : { caFile: ca }),
    ...(serverName === null ? {} : { serverName }),
  };
  return { name, server: await prepareMailServer(options), login, password, mailbox };
}
