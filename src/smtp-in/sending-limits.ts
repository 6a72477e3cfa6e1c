import { AddressRanges } from '../connections/address-range.ts';
import { clientNetwork, surroundingNetwork } from '../connections/client-network.ts';
import { limits } from '../limits.ts';
import type { Origin } from '../pipeline/ports.ts';
import { type Reply, reply } from '../smtp/reply.ts';
import { SlidingCounts } from './sliding-counts.ts';

/** What one login, address or network may send; null: as much as it likes. */
export type SendingBound = {
  messages: number | null;
  /** Recipients of all those messages. */
  recipients: number | null;
  minutes: number;
};

export type SendingBounds = {
  login:
    | (SendingBound & { /** Messages at a time, each from MAIL to its last answer. */ atOnce: number | null })
    | null;
  address: SendingBound | null;
  /** See `surroundingNetwork`. */
  network: SendingBound | null;
};

/** Who is counted: one name of each kind. */
type Counted = { bound: SendingBound; counts: Counts; name: string; whom: string };
type Counts = { messages: SlidingCounts; recipients: SlidingCounts };

const KINDS = ['login', 'address', 'network'] as const;
const WHOM = { login: 'this login', address: 'your address', network: 'your network' } as const;

/**
 * How much is sent through one listener, by login, client address and network. What is too much is refused for now, before its octets come
 * (RFC 5321 §4.2.2: 450), so that a client sends it later; nothing is taken and then dropped. Only what was accepted counts.
 */
export class SendingLimits {
  readonly #bounds: SendingBounds;
  readonly #counts: ReadonlyMap<(typeof KINDS)[number], Counts>;
  readonly #unlimited: AddressRanges;
  readonly #underWay = new Map<string, number>();

  /**
   * @param unlimited addresses and ranges whose clients are bounded by their login alone
   * @param now milliseconds, never backwards
   */
  constructor(bounds: SendingBounds, unlimited: readonly string[], now: () => number) {
    this.#bounds = bounds;
    this.#unlimited = new AddressRanges(unlimited);
    const counts = (minutes: number) => new SlidingCounts(minutes * 60_000, limits.smtp.countedSenders, now);
    this.#counts = new Map(
      KINDS.flatMap((kind) => {
        const bound = bounds[kind];
        if (bound === null) return [];
        return [[kind, { messages: counts(bound.minutes), recipients: counts(bound.minutes) }]];
      }),
    );
  }

  /** Whether one more message, with at least one recipient, may begin; null: it may. */
  mayBegin(origin: Origin): Reply | null {
    const { atOnce = null } = this.#bounds.login ?? {};
    if (atOnce !== null && (this.#underWay.get(nameOf(origin)) ?? 0) >= atOnce) {
      return tooMuch(`At most ${atOnce} messages of this login are taken at the same time`);
    }
    return this.mayHave(origin, 1);
  }

  /** Whether one more message may have so many recipients; null: it may. */
  mayHave(origin: Origin, recipients: number): Reply | null {
    for (const { bound, counts, name, whom } of this.#whoCounts(origin)) {
      const { messages, recipients: most, minutes } = bound;
      if (messages !== null && counts.messages.of(name) + 1 > messages) {
        return tooMuch(`At most ${messages} messages in ${minutes} minutes are taken from ${whom}`);
      }
      if (most !== null && counts.recipients.of(name) + recipients > most) {
        return tooMuch(`At most ${most} recipients in ${minutes} minutes are taken from ${whom}`);
      }
    }
    return null;
  }

  /** A message is under way until what is returned is called. */
  begin(origin: Origin): () => void {
    if ((this.#bounds.login?.atOnce ?? null) === null) return () => undefined;
    const login = nameOf(origin);
    this.#underWay.set(login, (this.#underWay.get(login) ?? 0) + 1);
    return () => {
      const left = (this.#underWay.get(login) ?? 1) - 1;
      if (left > 0) this.#underWay.set(login, left);
      else this.#underWay.delete(login);
    };
  }

  /** A message counts, until what is returned says that it was not accepted. */
  count(origin: Origin, recipients: number): () => void {
    const takeBack = this.#whoCounts(origin).flatMap(({ counts, name }) => [
      counts.messages.add(name, 1),
      counts.recipients.add(name, recipients),
    ]);
    return () => {
      for (const each of takeBack) each();
    };
  }

  #whoCounts(origin: Origin): readonly Counted[] {
    const { remote } = origin;
    const unlimited = this.#unlimited.has(remote);
    const names = {
      login: nameOf(origin),
      address: clientNetwork(remote),
      network: surroundingNetwork(remote),
    };
    return KINDS.flatMap((kind) => {
      const bound = this.#bounds[kind];
      const counts = this.#counts.get(kind);
      if (bound === null || counts === undefined || (kind !== 'login' && unlimited)) return [];
      return [{ bound, counts, name: names[kind], whom: WHOM[kind] }];
    });
  }
}

/** Most mail servers take `Alice` for `alice`: were each counted by itself, a login of twenty letters would be a million. */
function nameOf({ principal }: Origin): string {
  return principal.login.toLowerCase();
}

/** RFC 3463 X.7.1 with 450: the client keeps the mail and tries again. */
function tooMuch(text: string): Reply {
  return reply(450, '4.7.1', `${text}; try again later`);
}
