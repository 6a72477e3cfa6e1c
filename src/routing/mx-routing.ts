import { limits } from '../limits.ts';
import { type FindingParts, findHosts } from './find-hosts.ts';
import type { NoWay } from './no-way.ts';
import { hopeless, notNow } from './no-way.ts';
import type { MxVia } from './routes.ts';
import type { StsFinding, StsPolicies } from './sts-policies.ts';
import { levelFor, requirementFor, type TlsRequirement } from './tls-requirement.ts';

/** One mail server of a domain, and how the connection to it has to be protected. */
export type PlannedHost = { name: string; addresses: readonly string[]; requirement: TlsRequirement };

export type Plan = {
  sts: StsFinding;
  /** In the order in which they are tried. */
  hosts: readonly (PlannedHost | { name: string; noWay: NoWay })[];
};

export type MxRoutingParts = FindingParts & { policies: StsPolicies };

/** To whom mail for a domain is taken that has no server of its own in the configuration. */
export class MxRouting {
  readonly #parts: MxRoutingParts;

  constructor(parts: MxRoutingParts) {
    this.#parts = parts;
  }

  /**
   * @param domain of `domainOf`
   * @param mustBeProtected the mail must leave by TLS
   * @throws SealgateError `store.unavailable` (temporary)
   */
  async plan(
    domain: string | null,
    via: MxVia,
    mustBeProtected: boolean,
    signal: AbortSignal,
  ): Promise<Plan | NoWay> {
    if (domain === null) return hopeless('5.1.2', 'the address has no domain');
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(limits.routing.lookupMs)]);
    const [found, sts] = await Promise.all([
      findHosts(domain, this.#parts, inTime),
      domain.startsWith('[') ? NO_POLICY : this.#parts.policies.policyOf(domain, inTime),
    ]);
    if (found.kind !== 'hosts') return found;
    const asked = { ...via, tls: levelFor(via.tls, mustBeProtected) };
    return {
      sts,
      hosts: found.hosts.map((host) => {
        if (host.kind === 'none') return { name: host.name, noWay: host.noWay };
        const requirement = requirementFor(host, { domain, sts: sts.policy }, asked);
        return { name: host.name, addresses: host.addresses, requirement };
      }),
    };
  }
}

const NO_POLICY: StsFinding = { policy: null, why: 'no MTA-STS policy' };

/** Why none of the servers of a plan can be tried; null: one can. */
export function noHost({ hosts }: Plan): NoWay | null {
  const reasons: string[] = [];
  let isForNow = false;
  let unprotected = false;
  for (const host of hosts) {
    if ('noWay' in host) {
      isForNow ||= host.noWay.kind === 'later';
      reasons.push(host.noWay.because);
    } else if (host.requirement.kind === 'unusable') {
      unprotected = true;
      reasons.push(host.requirement.why);
    } else return null;
  }
  const because = [...new Set(reasons)].join('; ');
  // What a domain asks for it may mend, and so may whoever wrote the route.
  if (unprotected) return notNow('4.7.5', because);
  return isForNow ? notNow('4.4.3', because) : hopeless('5.4.4', because);
}
