import type { MailServer } from '../connections/mail-server.ts';
import { limits } from '../limits.ts';
import type { TlsDemand } from '../policy/rules.ts';
import { domainOf, type Route, type Routes } from '../routing/routes.ts';
import type { Extensions } from '../smtp/extensions.ts';
import type { GatewayLogin } from '../smtp-out/gateway-login.ts';
import { backoffKey, type MxServersParts, mxServers } from './mx-servers.ts';
import type { Courier, DeliveryOutcome, Destination, Way } from './ports.ts';
import { type NoServer, SmtpCourier, STOPPED } from './smtp-courier.ts';

type MailForCourier = Parameters<Courier['deliver']>[0];

export type RoutedCourierParts = {
  routes: Routes;
  /** By the names of the routes that have one. */
  servers: ReadonlyMap<string, { server: MailServer; login: GatewayLogin | null }>;
  /** null: no route asks DNS. */
  mx: Omit<MxServersParts, 'signal'> | null;
  hostname: string;
  clock: MxServersParts['clock'];
};

const DEMANDS: readonly TlsDemand[] = ['no', 'upstream', 'onward'];

type Kept = { courier: SmtpCourier; busy: number };

/**
 * Takes each mail to where the routes have it, with a courier for each destination.
 *
 * The routes that are in force decide, whatever was written down with the mail: what a configuration no longer has must not keep mail
 * for ever. What must leave by TLS has couriers of its own, since their servers have to show who they are.
 */
export class RoutedCourier implements Courier {
  readonly #parts: RoutedCourierParts;
  /** Longest unused first. */
  readonly #couriers = new Map<string, Kept>();
  readonly #closing = new AbortController();
  readonly #leaving = new Set<Promise<void>>();

  constructor(parts: RoutedCourierParts) {
    this.#parts = parts;
  }

  away(way: Way): string | null {
    if (way.kind !== 'smtp') return null;
    const destination = way.destination ?? 'server';
    // Where mail of one kind gets through, the place is there.
    const reasons = DEMANDS.map((demand) => this.#couriers.get(`${demand} ${destination}`))
      .filter((kept) => kept !== undefined)
      .map(({ courier }) => courier.away());
    const [first = null] = reasons;
    return reasons.includes(null) ? null : first;
  }

  async deliver(mail: MailForCourier): Promise<readonly DeliveryOutcome[]> {
    const { recipients } = mail.envelope;
    const groups = Map.groupBy(recipients, (recipient) => this.#parts.routes.destinationOf(recipient));
    const outcomes = new Map<DeliveryOutcome['recipient'], DeliveryOutcome>();
    for (const [destination, members] of groups) {
      const part = { ...mail, envelope: { ...mail.envelope, recipients: members } };
      for (const [i, outcome] of (await this.#deliverTo(destination, part)).entries()) {
        const recipient = members[i];
        if (recipient !== undefined) outcomes.set(recipient, outcome);
      }
    }
    return recipients.map(
      (recipient) =>
        outcomes.get(recipient) ?? {
          ...{ recipient, kind: 'later', reply: null },
          because: 'nothing is known of it',
        },
    );
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([
      ...[...this.#couriers.values()].map(({ courier }) => courier.close()),
      ...this.#leaving,
    ]);
  }

  async #deliverTo(destination: Destination, mail: MailForCourier): Promise<readonly DeliveryOutcome[]> {
    // A courier that is made now would be closed by nobody.
    if (this.#closing.signal.aborted) {
      return mail.envelope.recipients.map((recipient) => ({
        ...{ recipient, kind: 'later', reply: null, because: STOPPED },
      }));
    }
    const [first] = mail.envelope.recipients;
    const domain = first === undefined ? null : domainOf(first.mailbox);
    const route = this.#parts.routes.routeOf(domain);
    if (route === null) {
      const because = `no route of the configuration is for ${domain ?? 'an address without a domain'}`;
      return mail.envelope.recipients.map((recipient) => ({
        ...{ recipient, kind: 'later', reply: null, status: '4.4.4', because },
      }));
    }
    // The listener that has opened it was to have one (config/routing-checks.ts); since then the configuration may have lost it.
    if (mail.purpose === 'opened' && !this.#parts.routes.names(domain)) {
      const because = `it was opened for those who get it, and no route of the configuration names ${domain ?? 'their domain'}`;
      return mail.envelope.recipients.map((recipient) => ({
        ...{ recipient, kind: 'later', reply: null, status: '4.4.4', because },
      }));
    }
    const kept = this.#courierFor(destination, { route, domain, demand: demandOf(mail) });
    kept.busy++;
    try {
      const outcomes = await kept.courier.deliver(mail);
      const host = this.#parts.servers.get(route.name)?.server.options.host;
      return host === undefined ? outcomes : outcomes.map((one) => saidBy(host, one));
    } finally {
      kept.busy--;
    }
  }

  #courierFor(
    destination: Destination,
    { route, ...of }: { route: Route; domain: string | null; demand: TlsDemand },
  ): Kept {
    const key = `${of.demand} ${destination}`;
    const kept = this.#couriers.get(key) ?? { courier: this.#newCourier(route, of), busy: 0 };
    this.#couriers.delete(key);
    this.#couriers.set(key, kept);
    this.#letGoBut(kept);
    return kept;
  }

  #newCourier(
    { name, via }: Route,
    { domain, demand }: { domain: string | null; demand: TlsDemand },
  ): SmtpCourier {
    const { servers, mx, hostname, clock } = this.#parts;
    if (via.kind === 'server') {
      const place = servers.get(name);
      if (place === undefined) throw new Error(`the route ${name} has no server`);
      return new SmtpCourier({ ...place, hostname, clock });
    }
    if (mx === null) throw new Error('a route asks DNS, and nobody can');
    const parts = { ...mx, signal: this.#closing.signal };
    return new SmtpCourier({
      server: () => mxServers({ domain, via, mustBeProtected: demand !== 'no' }, parts),
      ...(demand === 'onward' ? { unfit: withoutRequireTls } : {}),
      called(server, because) {
        if (because === null) mx.backoff.isThere(backoffKey(server));
        else mx.backoff.failed(backoffKey(server), because, clock());
      },
      ...{ login: null, hostname, clock },
    });
  }

  /** Of those that nobody needs; more may be under way at once than are kept. */
  #letGoBut(wanted: Kept): void {
    for (const [key, kept] of this.#couriers) {
      if (this.#couriers.size <= limits.routing.couriers) return;
      if (kept.busy > 0 || kept === wanted) continue;
      this.#couriers.delete(key);
      const gone = kept.courier.close().finally(() => this.#leaving.delete(gone));
      this.#leaving.add(gone);
    }
  }
}

function saidBy(server: string, outcome: DeliveryOutcome): DeliveryOutcome {
  return outcome.kind === 'delivered' || outcome.reply === null ? outcome : { ...outcome, server };
}

/** As smtp-transaction.ts has it: a report leaves to a server that promises nothing, too. */
function demandOf({ requireTls, purpose }: MailForCourier): TlsDemand {
  return requireTls === 'onward' && purpose === 'report' ? 'upstream' : requireTls;
}

/** RFC 8689 §4.2.1: another server of the domain may promise it; where none does, the mail comes back. */
function withoutRequireTls(extensions: Extensions): NoServer | null {
  if (extensions.has('REQUIRETLS')) return null;
  const because =
    'it may leave by TLS only for the whole way, and no mail server of the domain promises that (REQUIRETLS)';
  return { kind: 'failed', status: '5.7.30', because };
}
