import { newSessionId } from '../../../src/ids.ts';
import type { Event } from '../../../src/log/events.ts';
import type { ShownHeader } from '../../../src/mail-view/render.ts';
import { viewNames } from '../../../src/mail-view/view-names.ts';
import { bufferSource } from '../../../src/octets/buffer-source.ts';
import { collect } from '../../../src/octets/collect.ts';
import type { InboundStory, OpenOutcome } from '../../../src/pipeline/ports.ts';
import { type ReaderOptions, ReaderViews } from '../../../src/reading/reader-views.ts';
import type { StoredMessage } from '../../../src/reading/stored-message.ts';
import { systemTimers } from '../../../src/reading/timers.ts';
import type { SecurityReport } from '../../../src/smime/report.ts';
import { principalNamed } from '../../support/principal.ts';

/** A story that says whatever a test wants, and readers of it. */

const GCM: SecurityReport = {
  layers: [{ kind: 'encrypted', algorithm: 'aes256-gcm', authenticated: true, outcome: 'opened' }],
};

export const TEXT = 'Content-Type: text/plain\r\n\r\nthe boathouse key\r\n';

export function openedAs(
  entity = TEXT,
  verdict: 'trusted' | 'untrusted' = 'trusted',
  header: string | null = null,
): OpenOutcome {
  return {
    kind: 'opened',
    entity: bufferSource(Buffer.from(entity)),
    header: header === null ? null : Buffer.from(header),
    report: GCM,
    verdict: verdict === 'trusted' ? { kind: 'trusted' } : { kind: 'untrusted', why: 'revoked since' },
  };
}

export const NO_KEY: OpenOutcome = { kind: 'no-key', report: { layers: [] } };
export const AWAY: OpenOutcome = { kind: 'unavailable', key: true, publicText: 'Insert the card.' };

export class SaysAnything implements InboundStory {
  says: OpenOutcome = openedAs();
  asked = 0;
  async open(): Promise<OpenOutcome> {
    this.asked++;
    return this.says;
  }
}

export class EventLog {
  readonly events: Event[] = [];
  write(event: Event): void {
    this.events.push(event);
  }
  has(name: Event['event']): boolean {
    return this.events.some(({ event }) => event === name);
  }
}

export const SECRET = Buffer.alloc(32, 7);
export const ORIGINAL = Buffer.from(
  `From: alice@example.org\r\nSubject: [...]\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n${`${'QUJD'.repeat(16)}\r\n`.repeat(60)}`,
);

export function reader(
  story: InboundStory,
  options: Partial<ReaderOptions> & { login?: string } = {},
): ReaderViews & { events: EventLog } {
  const { login = 'bob@example.org', ...rest } = options;
  const log = new EventLog();
  const views = new ReaderViews({
    session: newSessionId(),
    principal: principalNamed(login),
    hasKeys: true,
    story,
    secret: SECRET,
    names: viewNames('7f3a9c2e', 'gw.example.net'),
    log,
    timers: systemTimers,
    ...rest,
  });
  return Object.assign(views, { events: log });
}

export function imap(uid: number, mailbox = 'INBOX', uidValidity = 7): StoredMessage & { protocol: 'imap' } {
  return { protocol: 'imap', mailbox, uidValidity, uid };
}

export type Shown = { octets: string; header: ShownHeader | null } | { code: string; text: string };

/** What a reader gets of a message. */
export async function shown(
  views: ReaderViews,
  message: StoredMessage = imap(1),
  original: Buffer = ORIGINAL,
  openKeysOnly?: true,
): Promise<Shown> {
  const patience = {
    ...{ signal: new AbortController().signal, exhausted: new Map() },
    ...(openKeysOnly ? { openKeysOnly } : {}),
  };
  const opened = await views.open(message, bufferSource(original), patience);
  if (opened.kind === 'withheld') return { code: opened.reason.code, text: opened.reason.text };
  const octets = await collect(opened.view.octets.read());
  opened.release();
  return { octets: octets.toString('latin1'), header: views.shownHeader(message) };
}
