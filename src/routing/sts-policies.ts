import type { SecureContext } from 'node:tls';
import type { AddressGuard } from '../connections/address-guard.ts';
import { httpExchange } from '../connections/http-exchange.ts';
import { ipText } from '../connections/ip-octets.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { type Ask, TYPE_A, TYPE_AAAA, TYPE_TXT } from './asking.ts';
import { readStsPolicy, type StsPolicy } from './sts-policy.ts';
import { stsPolicyId } from './sts-record.ts';

/** A policy as it is kept: what it was called, and when it was fetched. */
export type KeptPolicy = { id: string; policy: StsPolicy; fetchedAt: Date };

/** Where policies outlive the process. @throws SealgateError `store.unavailable` */
export interface PolicyStore {
  load(domain: string): Promise<KeptPolicy | null>;
  keep(domain: string, kept: KeptPolicy): Promise<void>;
}

export type StsPoliciesParts = {
  ask: Ask;
  store: PolicyStore;
  guard: AddressGuard;
  /** Who may vouch for the servers of policies; null: the system's authorities. */
  tls: SecureContext | null;
  clock: () => Date;
  /** Of servers of policies; absent: 443, the only one there is (RFC 8461 §3.3). */
  port?: number;
};

export type StsFinding = {
  /** null: none that asks for anything. */
  policy: StsPolicy | null;
  /** For people. */
  why: string;
};

/** RFC 8461 §10.2: so that somebody who keeps us from fetching has to go on for as long as a policy lasts. */
const REFRESHED_MS = 24 * 3_600_000;
/** §3.3: a policy that could not be fetched is not asked for again at once. */
const AGAIN_MS = 5 * 60_000;

/**
 * The MTA-STS policies of domains (RFC 8461).
 *
 * Must never happen: a policy that is known and not over is lost because its record is gone, its server is silent, or the gateway was
 * started anew.
 */
export class StsPolicies {
  readonly #parts: StsPoliciesParts;
  /** When what could not be fetched, of which name. */
  readonly #failed = new Map<string, { id: string; at: number }>();
  readonly #fetching = new Map<string, Promise<StsPolicy | string>>();

  constructor(parts: StsPoliciesParts) {
    this.#parts = parts;
  }

  /** @param domain A-labels in lower case @throws SealgateError `store.unavailable` (temporary): nobody knows what is known */
  async policyOf(domain: string, signal: AbortSignal): Promise<StsFinding> {
    const { store, clock } = this.#parts;
    const kept = await store.load(domain);
    const known = kept !== null && isInForce(kept, clock()) ? kept : null;
    const id = await this.#idOf(domain, signal);
    if (id === null) return finding(known, 'its record is not there; what was fetched before counts');
    if (known?.id === id && isFresh(known, clock())) return finding(known, 'fetched before');
    const fetched = await this.#fetched(domain, id, signal);
    if (typeof fetched === 'string') {
      if (known === null) return { policy: null, why: `the MTA-STS policy ${fetched}` };
      return finding(known, `the new one ${fetched} What was fetched before counts`);
    }
    const fresh = { id, policy: fetched, fetchedAt: clock() };
    await store.keep(domain, fresh);
    return finding(fresh, 'fetched now');
  }

  /** null: there is none, or it is not to be had; what is known already counts then (§3.3). */
  async #idOf(domain: string, signal: AbortSignal): Promise<string | null> {
    try {
      const { records } = await this.#parts.ask({ name: `_mta-sts.${domain}`, type: TYPE_TXT }, signal);
      return stsPolicyId(records);
    } catch (error) {
      if (!(error instanceof SealgateError)) throw error;
      return null;
    }
  }

  /** A text: why not, for people. */
  async #fetched(domain: string, id: string, signal: AbortSignal): Promise<StsPolicy | string> {
    const now = this.#parts.clock().getTime();
    const failed = this.#failed.get(domain);
    if (failed?.id === id && now >= failed.at && now - failed.at < AGAIN_MS) {
      return 'could not be fetched minutes ago.';
    }
    const running =
      this.#fetching.get(domain) ?? this.#fetch(domain, signal).finally(() => this.#fetching.delete(domain));
    this.#fetching.set(domain, running);
    const outcome = await running;
    this.#failed.delete(domain);
    if (typeof outcome === 'string') {
      const [oldest] = this.#failed.keys();
      if (oldest !== undefined && this.#failed.size >= limits.routing.remembered) this.#failed.delete(oldest);
      this.#failed.set(domain, { id, at: now });
    }
    return outcome;
  }

  async #fetch(domain: string, signal: AbortSignal): Promise<StsPolicy | string> {
    const { guard, tls, port = 443 } = this.#parts;
    const url = URL.parse(`https://mta-sts.${domain}:${port}/.well-known/mta-sts.txt`);
    // With a number at the end it would be an address.
    if (url?.hostname !== `mta-sts.${domain}`) return 'cannot be fetched: no server can have such a name.';
    const request = {
      url,
      ...{ body: null, accept: 'text/plain', maxOctets: limits.routing.policyOctets, tls },
      signal: AbortSignal.any([signal, AbortSignal.timeout(limits.routing.policyMs)]),
    };
    const resolve = (hostname: string) => this.#addressesOf(hostname, request.signal);
    const answer = await httpExchange(request, { guard, resolve });
    if (answer.kind === 'failed') return `cannot be fetched: ${url.hostname} ${answer.text}`;
    // §3.3: no redirect is followed, and nothing but a 200 is a policy.
    if (answer.status !== 200) return `cannot be fetched: ${url.hostname} answers ${answer.status}.`;
    if (!/^text\/plain[ \t]*(;|$)/i.test(answer.contentType)) return 'is not text/plain.';
    return readStsPolicy(answer.octets) ?? 'cannot be read.';
  }

  async #addressesOf(name: string, signal: AbortSignal) {
    const answers = await Promise.allSettled(
      [TYPE_A, TYPE_AAAA].map((type) => this.#parts.ask({ name, type }, signal)),
    );
    // Many name servers answer about one of the two only: it is enough.
    return answers
      .flatMap((answer) => (answer.status === 'fulfilled' ? answer.value.records : []))
      .filter(({ length }) => length === 4 || length === 16)
      .map((data) => ({ address: ipText(data), family: data.length === 4 ? 4 : 6 }));
  }
}

/** Not in the future, as it is after the clock was set back. */
function isFresh({ fetchedAt }: KeptPolicy, now: Date): boolean {
  const age = now.getTime() - fetchedAt.getTime();
  return age >= 0 && age < REFRESHED_MS;
}

function isInForce({ policy, fetchedAt }: KeptPolicy, now: Date): boolean {
  return now.getTime() < fetchedAt.getTime() + policy.maxAgeSeconds * 1_000;
}

function finding(kept: KeptPolicy | null, how: string): StsFinding {
  if (kept === null) return { policy: null, why: 'no MTA-STS policy' };
  const { policy } = kept;
  return {
    policy: policy.mode === 'none' ? null : policy,
    why: `MTA-STS policy, mode ${policy.mode}: ${how}`,
  };
}
