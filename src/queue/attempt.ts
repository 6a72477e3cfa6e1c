import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { OctetSource } from '../octets/source.ts';
import { summary } from '../smtp/reply.ts';
import { toldRecipients } from '../smtp/told-recipients.ts';
import type { Row, SqlStore, Statement } from '../store/sql-store.ts';
import { whileClaimed } from './claimed-octets.ts';
import {
  type Delivery,
  deleteClaimed,
  noteAttempt,
  noteRecipient,
  noteTaken,
  onlyWhile,
  readDelivery,
  settleRecipient,
  usesOf,
} from './delivery-rows.ts';
import { type Claim, releaseClaim } from './leases.ts';
import type { Courier, DeliveryOutcome, Staged, Way } from './ports.ts';
import { overdueAt, waitAfter } from './schedule.ts';
import { type Settled, type Settlement, settle, toldAsRelayed, withoutReports } from './settle.ts';
import { type ReportParts, stageReports } from './staged-reports.ts';

export type AttemptParts = ReportParts & {
  store: SqlStore;
  /** null: none is configured for this way. */
  courier(way: Way): Courier | null;
  log: Log;
  /** Writes it down, and does not give up while the gateway runs; the rows of each. null: the gateway is being stopped. */
  insist(
    statements: readonly Statement[],
    /** Told of each try of which nobody heard whether it was written. */
    unheard?: () => void,
  ): Promise<readonly (readonly Row[])[] | null>;
  /** Whether the claim stands, as far as is known, and will for a while; absent: nobody else makes one. */
  stands?: () => boolean;
  /** Whether the gateway is being stopped: what breaks off because of that was no attempt. */
  stopping?: () => boolean;
};

export type Attempted = {
  /** Why nothing can be taken there for the moment; null: it was there; absent: nobody knows. */
  away?: string | null;
  /** When it is tried again; null: it is not. */
  nextAt: Date | null;
};

/**
 * One attempt to deliver one mail that was claimed, and what is written down of it: failures in one transaction with the reports that they
 * lead to.
 *
 * Holds: whoever has the mail is crossed out before anything else happens. A crash between the server's 250 and that brings a second copy,
 * a 250 that never arrives does, and nothing else. Nobody fails without the report that is due. Where the claim was lost meanwhile, nothing is
 * written.
 *
 * @param because the place is known to be away: nothing is sent there, and this is why; null: it is tried
 */
export async function attempt(
  claim: Claim,
  parts: AttemptParts,
  because: string | null = null,
): Promise<Attempted> {
  const { store, spool, clock, insist, stopping } = parts;
  const delivery = await readDelivery(store, claim.id);
  if (delivery === null || delivery.fence !== claim.fence) return { nextAt: null };
  const { octets, outcomes, ...rest } = await outcomesOf(delivery, parts, because);
  if (stopping?.() === true && outcomes.every(({ kind, reply }) => kind === 'later' && reply === null)) {
    await insist([releaseClaim(claim)]);
    return { ...rest, nextAt: null };
  }
  // Taken out by hand in the meantime, file and all: nothing has failed.
  const isLost = octets === null && outcomes.some(({ kind }) => kind === 'failed');
  if (isLost && (await readDelivery(store, claim.id)) === null) return { ...rest, nextAt: null };
  const now = clock();
  let settled = settle(delivery, outcomes, now);
  let staged: Staged[] = [];
  // A report takes a while to be put into the spool: meanwhile nobody is left who could get a second copy.
  if (settled.reports.length > 0 && (await insist(crossedOut(claim, settled))) === null) {
    return { ...rest, nextAt: null };
  }
  try {
    staged = await stageReports(settled, delivery, octets, parts);
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    const again = new Date(now.getTime() + waitAfter(delivery.attempts + 1));
    settled = withoutReports(settled, delivery, again);
    parts.log.write({ event: 'queue.unavailable', level: 'error', reason: error.message });
  }
  const reports = staged.flatMap(({ statements }) => statements.map((one) => onlyWhile(claim, one)));
  let isUnheard = false;
  const written = await insist(
    [...reports, ...statementsOf(claim, delivery, settled, now), usesOf(delivery.spool)],
    () => {
      isUnheard = true;
    },
  );
  const stood = (written?.at(-2)?.length ?? 0) > 0;
  // Of what nobody heard the end it is not known that it may go.
  if (!stood && !(written === null && isUnheard)) for (const one of staged) await one.dropped();
  if (written === null) return { ...rest, nextAt: null };
  if (!stood && !(isUnheard && (await wasWritten(claim, parts)))) {
    const { mail, id } = delivery;
    parts.log.write({ event: 'queue.claim-lost', level: 'warn', mail, delivery: id });
    return { ...rest, nextAt: null };
  }
  // Of several that end at the same moment on different nodes none has seen the others end.
  const isUsed =
    written.at(-1)?.length !== 0 && (settled.nextAt !== null || (await isInUse(delivery, parts)));
  if (!isUsed) await spool.remove(delivery.spool);
  tell(delivery, settled, parts.log);
  for (const one of staged) if (stood || (await isThere(one, parts))) one.committed();
  return { ...rest, nextAt: settled.nextAt };
}

/** Where nobody can say it, it is. */
async function isInUse({ spool }: Delivery, { store }: AttemptParts): Promise<boolean> {
  const rows = await store.query(usesOf(spool)).catch(() => null);
  return rows === null || rows.length > 0;
}

async function isThere({ deliveries: [first = ''] }: Staged, { store }: AttemptParts): Promise<boolean> {
  return (await readDelivery(store, first)) !== null;
}

/** A transaction of which nobody heard the end may have been written: the next one finds the claim ended, and by nobody else. */
async function wasWritten({ id, fence }: Claim, { store }: AttemptParts): Promise<boolean> {
  const now = await readDelivery(store, id);
  return now === null || (now.fence === fence && now.lease === null);
}

type Outcomes = { octets: OctetSource | null; outcomes: readonly DeliveryOutcome[]; away?: string | null };

async function outcomesOf(
  delivery: Delivery,
  { spool, courier, stands }: AttemptParts,
  because: string | null,
): Promise<Outcomes> {
  const { mail, purpose, way, reversePath, mailParameters, requireTls } = delivery;
  const recipients = delivery.recipients.map(({ recipient }) => recipient);
  const everybody = (kind: 'later' | 'failed', because: string) =>
    recipients.map((recipient): DeliveryOutcome => ({ recipient, kind, reply: null, because }));
  if (recipients.length === 0) return { octets: null, outcomes: [] };
  if (because !== null) return { octets: null, outcomes: everybody('later', because) };
  const taker = courier(way);
  if (taker === null) {
    return {
      octets: null,
      outcomes: everybody('later', 'the place that it is for is not configured any more'),
    };
  }
  const away = taker.away?.(way) ?? null;
  if (away !== null) return { octets: null, outcomes: everybody('later', away), away };
  let octets: OctetSource;
  try {
    octets = await spool.read(delivery.spool, mail);
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    const kind = error.duration === 'permanent' ? 'failed' : 'later';
    return { octets: null, outcomes: everybody(kind, error.publicText) };
  }
  const envelope = { reversePath, mailParameters, recipients };
  const claimed = stands === undefined ? octets : whileClaimed(octets, stands);
  const outcomes = await taker.deliver({ id: mail, purpose, way, envelope, requireTls, octets: claimed });
  return { octets, outcomes, ...(taker.away === undefined ? {} : { away: taker.away(way) }) };
}

/** Who has it gets it no second time, and stays where a report is to say so. */
function crossedOut(claim: Claim, settled: Settled): Statement[] {
  const stay = toldAsRelayed(settled);
  return [
    ...settled.delivered
      .filter((one) => !stay.includes(one))
      .map(({ waiting }) => settleRecipient(claim, waiting.position)),
    ...stay.map(({ waiting, outcome }) => noteTaken(claim, waiting.position, outcome.reply)),
  ];
}

/** The last one gives a row where the claim stood, and ends it. */
function statementsOf(claim: Claim, delivery: Delivery, settled: Settled, at: Date): Statement[] {
  const { nextAt, later, delivered, unreported, failed, delayTold } = settled;
  const gone = [...delivered, ...toldAsRelayed(settled), ...failed];
  if (nextAt === null) return [deleteClaimed(claim)];
  return [
    ...gone.map(({ waiting }) => settleRecipient(claim, waiting.position)),
    ...unreported.map(({ waiting, outcome }) => noteTaken(claim, waiting.position, outcome.reply)),
    ...later.map(({ waiting, outcome }) =>
      noteRecipient(claim, waiting.position, { because: becauseOf(outcome), reply: outcome.reply }),
    ),
    noteAttempt(claim, { at, nextAt, delayTold, overdueAt: overdueAt({ ...delivery, delayTold }) }),
  ];
}

function tell({ mail, id, purpose, taken: before }: Delivery, settled: Settled, log: Log): void {
  const { failed, later, nextAt, reports } = settled;
  const delivered = [...settled.delivered, ...settled.unreported].filter(
    ({ waiting }) => !before.includes(waiting),
  );
  const who = (some: readonly Settlement[]) => {
    const those = some.map(({ waiting }) => waiting.recipient);
    const to = toldRecipients(those, limits.trail.stepRecipientCharacters);
    return { mail, delivery: id, purpose, to, recipients: some.length };
  };
  const [taken] = delivered;
  if (taken !== undefined) {
    const { reply } = taken.outcome;
    const said = reply === null ? '-' : summary(reply);
    const by = taken.outcome.kind === 'delivered' ? taken.outcome.by : undefined;
    log.write({
      ...{ event: 'queue.delivered', level: 'info', ...who(delivered), reply: said },
      ...(by === undefined ? {} : { by }),
    });
  }
  const [lost] = failed;
  if (lost !== undefined) {
    const reported = reports.some(({ action }) => action === 'failed');
    const reason = `${lost.expired ? 'expired; ' : ''}${becauseOf(lost.outcome)}`;
    log.write({ event: 'queue.failed', level: 'error', ...who(failed), reason, reported });
  }
  const [waits] = later;
  if (waits !== undefined && nextAt !== null) {
    const again = nextAt.toISOString();
    log.write({
      ...{ event: 'queue.delayed', level: 'warn', ...who(later) },
      ...{ reason: becauseOf(waits.outcome), again },
    });
  }
}

function becauseOf(outcome: DeliveryOutcome): string {
  return outcome.kind === 'delivered' ? '' : outcome.because;
}
