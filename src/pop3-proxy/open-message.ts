import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { OctetSource, Spool, SpooledOctets } from '../octets/source.ts';
import type { Patience } from '../pipeline/ports.ts';
import type { Place } from '../reading/openings.ts';
import type { OpenedView } from '../reading/reader-views.ts';
import type { StoredMessage } from '../reading/stored-message.ts';
import type { Withheld } from '../reading/withheld.ts';
import type { ArrivingMessage } from './arriving-message.ts';
import { nameByContent } from './message-name.ts';
import type { TransactionContext } from './transaction-context.ts';

/** What became of a message that was to be shown decrypted. `release` lets its octets go; nothing is read after it. */
export type OpenedMessage =
  | { kind: 'view'; octets: OctetSource; release(): Promise<void> }
  /**
   * Nothing in it could be opened, for good: the client gets what is stored, because many delete from the server what they were
   * given, and the ciphertext has to survive that.
   */
  | { kind: 'as-stored'; octets: OctetSource; release(): Promise<void> }
  /** Too large to be opened; `octets` have been taken from it already. */
  | { kind: 'too-large'; octets: OctetSource; release(): Promise<void> }
  /** Not for now: the client gets nothing, and will come again. Nothing is left of the server's answer. */
  | { kind: 'withheld'; reason: Withheld };

/**
 * Gathers a message and opens it. What it is named decides its boundary, and what is remembered of it; null: its content names it.
 * Throws what reading from the server throws.
 */
export async function openMessage(
  context: TransactionContext,
  message: number,
  named: StoredMessage | null,
  arriving: ArrivingMessage,
): Promise<OpenedMessage> {
  const began = context.timers.now();
  const place = await placeFor(context);
  if (place === null) {
    await arriving.drain();
    return withheld('Too many messages are being opened. Fetch it again later.');
  }
  const work: Work = { began, place, after: null };
  try {
    const gathered = await gather(context.spool, arriving);
    if (gathered.kind === 'withheld') return gathered;
    return await openGathered(context, message, named, gathered, work);
  } finally {
    if (work.after === null) place.leave();
    else work.after.finally(() => place.leave()).catch((error: unknown) => defect(context, error));
  }
}

/** `after`: what goes on though nobody waits for it any longer. */
type Work = { began: number; place: Place; after: Promise<unknown> | null };

async function openGathered(
  context: TransactionContext,
  message: number,
  named: StoredMessage | null,
  { kind, octets }: Exclude<Gathered, { kind: 'withheld' }>,
  work: Work,
): Promise<OpenedMessage> {
  const release = (): Promise<void> => octets.discard();
  if (kind === 'too-large') {
    context.maildrop.learnKind(message, 'identity');
    return { kind, octets, release };
  }
  let kept = false;
  try {
    const name = named ?? (await nameByContent(octets.read()));
    context.maildrop.learnName(message, name);
    const { opened, settled } = await inTime(context, work, (patience) =>
      context.views.open(name, octets, patience),
    );
    if (opened === null) {
      // The key process ends what it has begun; only then the original can go.
      kept = true;
      work.after = settled
        .then((late) => (late.kind === 'view' ? late.release() : undefined))
        .finally(release);
      return withheld('This message could not be opened in time. Fetch it again.');
    }
    if (opened.kind === 'withheld') return opened;
    if (context.views.shows(name) === 'opened') {
      return { kind: 'view', octets: opened.view.octets, release: async () => opened.release() };
    }
    opened.release();
    context.maildrop.learnKind(message, 'identity');
    kept = true;
    return { kind: 'as-stored', octets, release };
  } catch (error) {
    return notReadable(error);
  } finally {
    if (!kept) await release();
  }
}

/** A place among the messages that all sessions open; null: there is none in time, or the client has gone. */
async function placeFor({ openings, client, views, timers }: TransactionContext): Promise<Place | null> {
  const limit = new AbortController();
  const giveUp = (): void => limit.abort();
  const cancel = timers.after(limits.pop3.openingMs - limits.pop3.leastOpeningMs, giveUp);
  client.signal.addEventListener('abort', giveUp);
  if (client.gone) giveUp();
  try {
    return await openings.enter(views.login, limit.signal);
  } finally {
    cancel();
    client.signal.removeEventListener('abort', giveUp);
  }
}

function defect({ log }: TransactionContext, error: unknown): void {
  log.write({ event: 'gateway.defect', level: 'error', where: 'pop3-proxy.open', error: String(error) });
}

type Gathered =
  | { kind: 'whole' | 'too-large'; octets: SpooledOctets }
  | { kind: 'withheld'; reason: Withheld };

async function gather(spool: Spool, arriving: ArrivingMessage): Promise<Gathered> {
  const writer = spool.begin();
  try {
    let octets = 0;
    for await (const plain of arriving.plain()) {
      await writer.write(plain);
      octets += plain.length;
      if (octets > limits.messageOctets) return { kind: 'too-large', octets: await writer.finish() };
    }
    return { kind: 'whole', octets: await writer.finish() };
  } catch (error) {
    await writer.discard();
    const reason = notReadable(error);
    await arriving.drain();
    return reason;
  }
}

/** A spool that fails leaves the connection as it is; any other error is not about this message. */
function notReadable(error: unknown): { kind: 'withheld'; reason: Withheld } {
  if (error instanceof SealgateError && error.code.startsWith('spool.')) return withheld(error.publicText);
  throw error;
}

function withheld(text: string): { kind: 'withheld'; reason: Withheld } {
  return { kind: 'withheld', reason: { code: 'UNAVAILABLE', text } };
}

/** What is told when it takes longer than the keys were waited for. */
const GRACE_MS = 2_000;

/** A key that takes longer waits for a person, and its message makes room for those that do not. */
const LONG_MS = 1_000;

/** null: it takes too long for this client. */
async function inTime(
  { client, timers, exhausted }: TransactionContext,
  { began, place }: Work,
  open: (patience: Patience) => Promise<OpenedView>,
): Promise<{ opened: OpenedView | null; settled: Promise<OpenedView> }> {
  const left = Math.max(limits.pop3.openingMs - (timers.now() - began), limits.pop3.leastOpeningMs);
  const limit = new AbortController();
  const giveUp = (): void => limit.abort();
  const cancel = [timers.after(left, giveUp)];
  client.signal.addEventListener('abort', giveUp);
  if (client.gone) giveUp();
  let cancelKey = (): void => undefined;
  const atKey = (asked: boolean): void => {
    cancelKey();
    if (!asked) return;
    cancelKey = timers.after(LONG_MS, () => {
      if (!place.wait()) giveUp();
    });
  };
  const opening = open({ signal: limit.signal, exhausted, atKey });
  const late = new Promise<null>((resolve) => {
    cancel.push(timers.after(left + GRACE_MS, () => resolve(null)));
  });
  try {
    return { opened: await Promise.race([opening, late]), settled: opening };
  } finally {
    for (const each of cancel) each();
    cancelKey();
    client.signal.removeEventListener('abort', giveUp);
  }
}
