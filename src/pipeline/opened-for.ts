import { SealgateError } from '../errors.ts';
import type { MailId } from '../ids.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { OctetSource } from '../octets/source.ts';
import { hasParameter, parameterValue } from '../smtp/parameters.ts';
import type { InboundStory, OpenOutcome, Patience, Principal, Submission } from './ports.ts';

/** What a mail looks like that is delivered opened, or as it came. */
export interface DeliveryView {
  /**
   * @param outcome as the inbound story has it; `discard` of what was opened is the caller's
   * @throws SealgateError of the sources
   */
  render(request: {
    original: OctetSource;
    outcome: DeliverableOutcome;
    mail: MailId;
    /** Nothing of what was opened may have eight bits: whoever sent it has not announced that (RFC 6152). */
    sevenBit: boolean;
    /** Nor its header: it has not announced that either (RFC 6531). */
    asciiHeader: boolean;
  }): Promise<RenderedMail>;
}

/** `opened`: the content stands in the place of the original; else it is the original, but for what only claims to be from us. */
export type RenderedMail = { octets: OctetSource; opened: boolean; discard(): Promise<void> };

export type DeliverableOutcome = Exclude<OpenOutcome, { kind: 'unavailable' }>;

/** What one recipient gets. `waits`: nothing for now, and why. */
export type Result = { kind: 'message'; mail: RenderedMail } | { kind: 'waits'; why: SealgateError };

export type OpeningParts = {
  story: InboundStory;
  /** The same, and learns nothing: for what comes from nobody. */
  unlearning: InboundStory;
  view: DeliveryView;
  /** What becomes of mail for a key that is only away: its sender tries again, or it is delivered encrypted. */
  keyAway: 'defer' | 'deliver-encrypted';
  log: Log;
};

/**
 * Opens one mail for its recipients: first without any key, for what needs none; where it is encrypted, with the keys of each.
 *
 * Holds: the null reverse path teaches nothing (RFC 5321 §4.5.5: it is a server's own word, whoever From names).
 */
export class OpeningForDelivery {
  readonly #submission: Submission;
  readonly #parts: OpeningParts;
  readonly #patience: Patience;
  readonly #byReaders = new Map<string, Promise<Result>>();
  /** Of what was opened, and of what was made of it for one result, which goes first. */
  readonly #discards = new Set<() => Promise<void>>();
  readonly #discardsOf = new Map<Result, readonly (() => Promise<void>)[]>();
  #closed: Promise<DeliverableOutcome | SealgateError> | null = null;
  #original: Promise<Result> | null = null;

  constructor(submission: Submission, parts: OpeningParts) {
    this.#submission = submission;
    this.#parts = parts;
    this.#patience = { signal: AbortSignal.timeout(limits.relay.keyPatienceMs), exhausted: new Map() };
  }

  /** @param readers whose keys are tried, in this order */
  async for(readers: readonly Principal[]): Promise<Result> {
    this.#closed ??= this.#open(null);
    const withoutKeys = await this.#closed;
    if (withoutKeys instanceof SealgateError) return { kind: 'waits', why: withoutKeys };
    if (withoutKeys.kind !== 'no-key' || readers.length === 0) return this.#rendered(withoutKeys);
    const name = readers.map(({ login }) => login).join('\n');
    const before = this.#byReaders.get(name);
    if (before !== undefined) return before;
    const result = this.#withKeysOf(readers, withoutKeys);
    this.#byReaders.set(name, result);
    return result;
  }

  /** What was opened goes, whatever has become of it. Never rejects. */
  async discard(): Promise<void> {
    const all = [...this.#discards].reverse();
    this.#discards.clear();
    for (const discard of all) await discard().catch(() => undefined);
  }

  /** Somebody else gets the same: nobody needs this one any more. Never rejects. */
  async forget(result: Result): Promise<void> {
    for (const discard of this.#discardsOf.get(result) ?? []) {
      if (this.#discards.delete(discard)) await discard().catch(() => undefined);
    }
  }

  async #withKeysOf(readers: readonly Principal[], closed: DeliverableOutcome): Promise<Result> {
    let away: SealgateError | null = null;
    for (const reader of readers) {
      const outcome = await this.#open(reader);
      if (outcome instanceof SealgateError) away ??= outcome;
      else if (outcome.kind === 'opened') return this.#rendered(outcome, reader);
    }
    if (away !== null && !(this.#parts.keyAway === 'deliver-encrypted' && away.code.startsWith('key.'))) {
      return { kind: 'waits', why: away };
    }
    return this.#rendered(closed);
  }

  async #open(reader: Principal | null): Promise<DeliverableOutcome | SealgateError> {
    const { origin, envelope, octets } = this.#submission;
    const { story, unlearning } = this.#parts;
    const outcome = await (envelope.reversePath === null ? unlearning : story).open({
      ...{ session: origin.session, octets, patience: this.#patience },
      ...(reader === null
        ? { principal: origin.principal, withoutKeys: true as const }
        : { principal: reader }),
    });
    if (outcome.kind === 'opened' && outcome.discard !== undefined) this.#discards.add(outcome.discard);
    if (outcome.kind !== 'unavailable') return outcome;
    const { key, publicText } = outcome;
    const code = key ? 'key.unavailable' : 'directory.unavailable';
    return new SealgateError({ code, publicText, duration: 'temporary' });
  }

  /** What is not opened is the same for everybody. */
  #rendered(outcome: DeliverableOutcome, reader: Principal | null = null): Promise<Result> {
    if (reader !== null) return this.#render(outcome, reader);
    this.#original ??= this.#render(outcome, null);
    return this.#original;
  }

  async #render(outcome: DeliverableOutcome, reader: Principal | null): Promise<Result> {
    const { id, envelope, octets: original } = this.#submission;
    const sevenBit = parameterValue(envelope.mailParameters, 'BODY')?.toUpperCase() !== '8BITMIME';
    const mail = await this.#parts.view.render({
      ...{ original, outcome, mail: id, sevenBit },
      asciiHeader: !hasParameter(envelope.mailParameters, 'SMTPUTF8'),
    });
    const discardMail = () => mail.discard();
    this.#discards.add(discardMail);
    if (mail.opened && outcome.kind === 'opened') {
      const { verdict, report } = outcome;
      this.#parts.log.write({
        ...{ event: 'mail.opened', level: 'info', mail: id, principal: reader?.login ?? '' },
        encrypted: report.layers.some(({ kind }) => kind === 'encrypted'),
        verdict: verdict.kind,
      });
    }
    const result: Result = { kind: 'message', mail };
    const opened = outcome.kind === 'opened' && reader !== null ? outcome.discard : undefined;
    this.#discardsOf.set(result, opened === undefined ? [discardMail] : [discardMail, opened]);
    return result;
  }
}
