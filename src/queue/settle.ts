import type { Parameter } from '../smtp/envelope.ts';
import { parameterValue } from '../smtp/parameters.ts';
import type { Delivery, WaitingRecipient } from './delivery-rows.ts';
import type { DeliveryOutcome, Purpose } from './ports.ts';
import { DELAY_TOLD_AFTER_MS, nextAttempt } from './schedule.ts';

/** What one attempt means for each recipient who still waited. Pure. */

export type Settled = {
  delivered: readonly Settlement[];
  /** Who had it before, or has it now, and stays until the sender could be told. */
  unreported: readonly Settlement[];
  failed: readonly Settlement[];
  later: readonly Settlement[];
  /** null: nobody waits any more. */
  nextAt: Date | null;
  /** What the sender is told, each in a mail of its own. */
  reports: readonly { action: ReportAction; recipients: readonly Settlement[] }[];
  delayTold: boolean;
};

export type ReportAction = 'failed' | 'delayed' | 'relayed';

export type Settlement = {
  waiting: WaitingRecipient;
  outcome: DeliveryOutcome;
  expired: boolean;
  /** For people, in place of what the last attempt has led to; absent: that. */
  reason?: string;
};

/** @param outcomes of `delivery.recipients`, in their order */
export function settle(delivery: Delivery, outcomes: readonly DeliveryOutcome[], now: Date): Settled {
  const settlements = delivery.recipients.map((waiting, i): Settlement => {
    const { recipient } = waiting;
    const outcome = outcomes[i] ?? {
      recipient,
      kind: 'later',
      reply: null,
      because: 'nothing is known of it',
    };
    return { waiting, outcome, expired: false };
  });
  const of = (kind: DeliveryOutcome['kind']) => settlements.filter(({ outcome }) => outcome.kind === kind);
  const delivered = of('delivered');
  const next = nextAttempt(delivery.attempts + 1, now, delivery.expiresAt);
  const waiting = of('later');
  const expired = next === null ? waiting.map((one) => ({ ...one, expired: true })) : [];
  const failed = [...of('failed'), ...expired];
  const later = next === null ? [] : waiting;
  const delayed = isLong(delivery, now) ? later.filter((one) => asksFor(one, 'DELAY')) : [];
  const handedOn = [...delivered.filter(isUnconfirmed), ...delivery.taken.map(takenBefore)];
  const reports = isReported(delivery)
    ? [
        { action: 'failed' as const, recipients: failed.filter((one) => asksFor(one, 'FAILURE')) },
        { action: 'delayed' as const, recipients: delayed },
        // RFC 3461 §5.2.3 (b): she has asked for it, and whoever has the mail now will not tell her.
        { action: 'relayed' as const, recipients: handedOn.filter((one) => asksFor(one, 'SUCCESS')) },
      ].filter(({ recipients }) => recipients.length > 0)
    : [];
  return {
    ...{ delivered, failed, later, reports, unreported: [] },
    nextAt: later.length === 0 ? null : next,
    delayTold: delivery.delayTold || isLong(delivery, now),
  };
}

function isUnconfirmed({ outcome }: Settlement): boolean {
  return outcome.kind === 'delivered' && outcome.unconfirmed === true;
}

function takenBefore(waiting: WaitingRecipient): Settlement {
  const { recipient, reply } = waiting;
  return { waiting, outcome: { recipient, kind: 'delivered', reply, unconfirmed: true }, expired: false };
}

/** Of whom the sender is told that the mail was handed on. */
export function toldAsRelayed({ reports }: Settled): readonly Settlement[] {
  return reports.flatMap(({ action, recipients }) => (action === 'relayed' ? recipients : []));
}

/**
 * The same attempt where the reports could not be written down: who failed waits too, so that nobody fails in silence, and who has the mail
 * stays for the report that was asked for.
 */
export function withoutReports(settled: Settled, delivery: Delivery, again: Date): Settled {
  const { delivered, failed, later, nextAt } = settled;
  const waiting = [...failed, ...later];
  const unreported = toldAsRelayed(settled);
  const isOver = waiting.length === 0 && unreported.length === 0;
  return {
    ...{ delivered: delivered.filter((one) => !unreported.includes(one)), unreported },
    ...{ failed: [], later: waiting, reports: [], delayTold: delivery.delayTold },
    nextAt: isOver ? null : (nextAt ?? again),
  };
}

/** What the gateway writes itself, and copies for archives, have no sender who waits for news. */
const REPORTED: ReadonlySet<Purpose> = new Set(['submitted', 'opened', 'released', 'introduction']);

function isReported({ purpose, reversePath }: Delivery): boolean {
  return reversePath !== null && REPORTED.has(purpose);
}

function isLong({ enqueuedAt, delayTold }: Delivery, now: Date): boolean {
  return !delayTold && now.getTime() - enqueuedAt.getTime() >= DELAY_TOLD_AFTER_MS;
}

/** RFC 3461 §4.1. Without NOTIFY failures are told, and nothing else. */
export function asksFor(
  { waiting }: Pick<Settlement, 'waiting'>,
  what: 'SUCCESS' | 'FAILURE' | 'DELAY',
): boolean {
  const notify = notifyOf(waiting.recipient.parameters);
  return notify === null ? what === 'FAILURE' : notify.includes(what);
}

function notifyOf(parameters: readonly Parameter[]): readonly string[] | null {
  return parameterValue(parameters, 'NOTIFY')?.toUpperCase().split(',') ?? null;
}
