import type { MailId } from '../ids.ts';
import type { Recipient } from '../smtp/envelope.ts';
import { type Reply, replyClass } from '../smtp/reply.ts';
import type { HandOverOutcome, WholeOutcome } from './ports.ts';
import { addressOf } from './recipient-certificates.ts';
import { asciiText, ownReply, type Refusal, refusalReply, shortened } from './refusal.ts';

/** Why the hand-over of a mail's variants ended before the last one. */
export type Stop =
  | Exclude<WholeOutcome, { kind: 'accepted' }>
  /** The message of a later variant could not be made. */
  | { kind: 'failed'; refusal: Refusal }
  /** What waits could not be written down. */
  | { kind: 'not-kept'; refusal: Refusal };

/** Of variants whose recipients were answered one by one. */
export class Individually {
  /** Who has it, and who has not. */
  readonly accepted = new Map<Recipient, Reply>();
  readonly refused = new Map<Recipient, Exclude<WholeOutcome, { kind: 'accepted' }>>();

  add({ outcomes }: Extract<HandOverOutcome, { kind: 'each' }>): void {
    for (const { recipient, outcome } of outcomes) {
      if (outcome.kind === 'accepted') this.accepted.set(recipient, outcome.reply);
      else this.refused.set(recipient, outcome);
    }
  }

  /** What to say of all of them: what a retry may mend comes first, so that it is tried. null: everybody has it. */
  get stop(): Stop | null {
    const stops = [...this.refused.values()];
    return stops.find(isTemporary) ?? stops[0] ?? null;
  }

  /** The server's own reply to each that it answered. */
  get replies(): ReadonlyMap<Recipient, Reply> {
    const replies = new Map(this.accepted);
    for (const [recipient, stop] of this.refused) {
      if (stop.kind === 'rejected') replies.set(recipient, stop.reply);
    }
    return replies;
  }
}

export type Standing = {
  /** Who has the mail, from this attempt or an earlier one. */
  done: readonly Recipient[];
  missing: readonly Recipient[];
  /** What was delivered is remembered: a retry brings nobody a second copy. */
  retryIsSafe: boolean;
};

/**
 * What the client is told when the hand-over stopped: the upstream's own reply where that is the whole truth, otherwise
 * who has the mail and who has not. Temporary only where the client may try again by itself.
 */
export function stopReply(stop: Stop, { done, missing, retryIsSafe }: Standing, mail: MailId): Reply {
  if (stop.kind === 'rejected' && done.length === 0) return stop.reply;
  const isOurs = stop.kind === 'failed' || stop.kind === 'not-kept';
  if (isOurs && done.length === 0) return refusalReply(stop.refusal, mail);
  const cause = causeOf(stop);
  if (done.length === 0) return ownReply(451, '4.4.2', `Not confirmed: ${cause}. Please send again.`, mail);
  const temporary = isTemporary(stop) && retryIsSafe;
  const not = stop.kind === 'unreachable' ? 'not confirmed for' : 'not to';
  const facts = `Sent to ${names(done)}, but ${not} ${names(missing)}: ${cause}.`;
  const advice = temporary ? 'Send again: only the missing ones will get it.' : adviceAfter(retryIsSafe);
  return ownReply(temporary ? 451 : 554, enhancedCode(stop, temporary), `${facts} ${advice}`, mail);
}

/** What the client is told where the upstream has a part, and the rest is the gateway's to deliver, or to report. */
export function restReply(
  { done, kept, failed }: Record<'done' | 'kept' | 'failed', readonly Recipient[]>,
  mail: MailId,
): Reply {
  const facts = [
    `Sent to ${names(done)}`,
    ...(kept.length === 0 ? [] : [`kept to be sent to ${names(kept)}`]),
    ...(failed.length === 0 ? [] : [`not to ${names(failed)}, of which you are told by mail`]),
  ];
  return ownReply(250, '2.0.0', `${facts.join('; ')}.`, mail);
}

/** What the client is told where the whole mail waits. */
export function heldReply(waiting: readonly Recipient[], ask: boolean, mail: MailId): Reply {
  const asked = ask ? ' You are asked by mail what to do.' : '';
  return ownReply(250, '2.0.0', `Kept until it can be encrypted to ${names(waiting)}.${asked}`, mail);
}

function adviceAfter(retryIsSafe: boolean): string {
  return retryIsSafe ? 'Only these are missing.' : 'Send it again to the missing ones only.';
}

export function isTemporary(stop: Stop): boolean {
  switch (stop.kind) {
    case 'rejected':
      return replyClass(stop.reply) !== 'permanent';
    case 'unreachable':
      return true;
    case 'failed':
    case 'not-kept':
      return stop.refusal.duration === 'temporary';
  }
}

function causeOf(stop: Stop): string {
  switch (stop.kind) {
    case 'rejected':
      return `the mail server said ${shortened(asciiText(`${stop.reply.code} ${stop.reply.lines.join(' ')}`), 120).replace(/\.$/, '')}`;
    case 'unreachable':
      return 'the connection to the mail server was lost before its answer';
    case 'failed':
      return 'the gateway could not make the message for them';
    case 'not-kept':
      return 'the gateway could not keep it for them';
  }
}

/** The upstream's own enhanced code where it fits what we say; RFC 3463 X.4.2 (bad connection), X.3.0 (mail system) otherwise. */
function enhancedCode(stop: Stop, temporary: boolean): string {
  const wanted = temporary ? '4' : '5';
  if (stop.kind === 'unreachable') return `${wanted}.4.2`;
  if (stop.kind === 'failed' || stop.kind === 'not-kept')
    return `${wanted}${stop.refusal.enhancedCode.slice(1)}`;
  const theirs = /^([45])(\.\d{1,3}\.\d{1,3}) /.exec(stop.reply.lines[0] ?? '');
  return theirs?.[1] === wanted ? `${wanted}${theirs[2]}` : `${wanted}.3.0`;
}

/** Room for the names of one side in a reply line. */
const NAMES = 100;

/** As many names as fit, one at least, and how many more there are. */
function names(recipients: readonly Recipient[]): string {
  const shown: string[] = [];
  let length = 0;
  for (const recipient of recipients) {
    const name = shortened(asciiText(addressOf(recipient).replace(/@$/, '')), NAMES);
    if (shown.length > 0 && length + name.length + 2 > NAMES) break;
    shown.push(name);
    length += name.length + 2;
  }
  const more = recipients.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}
