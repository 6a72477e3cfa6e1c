import { setTimeout as sleep } from 'node:timers/promises';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import { collectFrom } from '../octets/collect.ts';
import type { Courier, DeliveryOutcome, Way } from '../queue/ports.ts';
import { type Archive, loginFor } from './archive.ts';
import { ImapSession } from './session.ts';

type MailForCourier = Parameters<Courier['deliver']>[0];

type Outcome = { kind: 'delivered' } | { kind: 'later' | 'failed'; because: string };

/** One that waits for the next message, of this login in this archive. */
type Idle = { place: string; session: ImapSession; mails: number; timer: NodeJS.Timeout };

/** So long nobody calls an archive again that could not be used, or for a login that it has refused. */
const AWAY_MS = 30_000;
/** That are remembered so. */
const AWAY_PLACES = 1_000;

export type ArchiveCourierParts = {
  archives: readonly Archive[];
  clock: () => Date;
  log: Log;
};

/**
 * Puts copies into mailboxes, several on one connection. How many at once is for whoever asks.
 *
 * Must never happen: a copy in another archive than the one that was named, or in that of another sender.
 */
export class ArchiveCourier implements Courier {
  readonly #archives: ReadonlyMap<string, Archive>;
  readonly #clock: () => Date;
  readonly #log: Log;
  #idle: Idle[] = [];
  readonly #away = new Map<string, { since: number; because: string }>();
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  readonly #used = new Set<ImapSession>();
  #closed = false;

  constructor({ archives, clock, log }: ArchiveCourierParts) {
    this.#archives = new Map(archives.map((archive) => [archive.name, archive]));
    this.#clock = clock;
    this.#log = log;
  }

  /** Of its logins one may still be refused. */
  away(way: Way): string | null {
    if (way.kind !== 'append') return null;
    return this.#archives.has(way.archive) ? this.#awayFrom(way.archive) : gone(way.archive);
  }

  async deliver(mail: MailForCourier): Promise<readonly DeliveryOutcome[]> {
    const ended = this.#outcomeOf(mail);
    this.#underWay.add(ended);
    const outcome = await ended;
    this.#underWay.delete(ended);
    return mail.envelope.recipients.map((recipient) => ({ recipient, reply: null, ...outcome }));
  }

  async close(): Promise<void> {
    this.#closed = true;
    // Who has not logged in yet has nothing to lose.
    this.#closing.abort();
    for (const { session, timer } of this.#idle.splice(0)) {
      clearTimeout(timer);
      session.logOut();
    }
    const ended = Promise.all(this.#underWay);
    const done = new AbortController();
    const patience = sleep(limits.imapOut.closeTimeoutMs, null, { signal: done.signal }).catch(() => null);
    await Promise.race([ended, patience]);
    done.abort();
    for (const session of this.#used) session.destroy();
    await ended;
  }

  async #outcomeOf(mail: MailForCourier): Promise<Outcome> {
    try {
      return await this.#append(mail);
    } catch (error) {
      if (!(error instanceof SealgateError)) {
        const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
        this.#log.write({ event: 'gateway.defect', level: 'error', where: 'imap-out', error: trace });
        return { kind: 'later', because: 'the gateway could not put it into the archive' };
      }
      const because = error.reason ?? error.publicText;
      return { kind: error.duration === 'permanent' ? 'failed' : 'later', because };
    }
  }

  async #append({ id, way, requireTls, octets }: MailForCourier): Promise<Outcome> {
    if (way.kind !== 'append') throw new Error('this way leads to no archive');
    const archive = this.#archives.get(way.archive);
    if (archive === undefined) {
      return { kind: 'later', because: gone(way.archive) };
    }
    if (requireTls !== 'no' && archive.server.options.tls === 'none') {
      const because = `it may leave by TLS only, and the archive ${archive.name} is called without`;
      return { kind: 'later', because };
    }
    const login = loginFor(archive, way.login);
    const place = JSON.stringify([archive.name, login]);
    const { session, mails } = (await this.#takeIdle(place)) ?? (await this.#connect(archive, login, place));
    this.#used.add(session);
    try {
      const appended = await session.append(
        archive.mailbox,
        Buffer.isBuffer(octets) ? octets : await collectFrom(octets),
      );
      if (appended.kind === 'refused') {
        return { kind: appended.final ? 'failed' : 'later', because: appended.because };
      }
      this.#log.write({
        ...{ event: 'archive.stored', level: 'info', mail: id, archive: archive.name },
        uid: appended.uid ?? '-',
      });
      return { kind: 'delivered' };
    } catch (error) {
      this.#isAway(archive.name, error);
      throw error;
    } finally {
      this.#used.delete(session);
      this.#putBack({ place, session, mails: mails + 1 });
    }
  }

  async #takeIdle(place: string): Promise<{ session: ImapSession; mails: number } | null> {
    for (;;) {
      const idle = this.#idle.find((one) => one.place === place);
      if (idle === undefined) return null;
      const { session } = idle;
      this.#remove(idle);
      this.#used.add(session);
      if (await session.isAlive()) return idle;
      this.#used.delete(session);
    }
  }

  #putBack({ place, session, mails }: Omit<Idle, 'timer'>): void {
    if (session.isLost) return;
    if (this.#closed || mails >= limits.imapOut.mailsOfConnection) {
      session.logOut();
      return;
    }
    const idle: Idle = {
      ...{ place, session, mails },
      timer: setTimeout(() => {
        this.#remove(idle);
        session.logOut();
      }, limits.imapOut.idleMs),
    };
    this.#idle.push(idle);
  }

  #remove(idle: Idle): void {
    clearTimeout(idle.timer);
    this.#idle = this.#idle.filter((one) => one !== idle);
  }

  /** @throws SealgateError `upstream.*` (temporary) */
  async #connect(
    { name, server, login: template, password }: Archive,
    login: string,
    place: string,
  ): Promise<{ session: ImapSession; mails: number }> {
    if (this.#closed) throw unusable('the gateway is being stopped');
    const away = this.#awayFrom(name) ?? this.#awayFrom(place);
    if (away !== null) throw unusable(away);
    try {
      const session = await ImapSession.open(server, { login, password }, this.#closing.signal);
      return { session, mails: 0 };
    } catch (error) {
      // Of several logins one may be refused, and the others not.
      const isOfLogin =
        error instanceof SealgateError && error.code === 'upstream.refused' && login !== template;
      this.#isAway(isOfLogin ? place : name, error);
      throw error;
    }
  }

  /** @param whom an archive by its name, or a login there by its place */
  #awayFrom(whom: string): string | null {
    const away = this.#away.get(whom);
    // A clock that was set back makes no long wait.
    if (away !== undefined && Math.abs(this.#clock().getTime() - away.since) < AWAY_MS) return away.because;
    this.#away.delete(whom);
    return null;
  }

  #isAway(whom: string, error: unknown): void {
    if (!(error instanceof SealgateError) || this.#closed) return;
    if (this.#away.size >= AWAY_PLACES) this.#away.clear();
    this.#away.set(whom, { since: this.#clock().getTime(), because: error.reason ?? error.publicText });
  }
}

function gone(archive: string): string {
  return `there is no archive ${archive} in the configuration any more`;
}

function unusable(reason: string): SealgateError {
  return new SealgateError({
    code: 'upstream.unreachable',
    duration: 'temporary',
    publicText: 'The mail server of the archive cannot be used.',
    reason,
  });
}
