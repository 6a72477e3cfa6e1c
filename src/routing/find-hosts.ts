import type { AddressGuard } from '../connections/address-guard.ts';
import { ipText } from '../connections/ip-octets.ts';
import { readAssociation } from '../directory/smimea/association.ts';
import type { DnsAnswer } from '../dns/message.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { type Ask, TYPE_A, TYPE_AAAA, TYPE_CNAME, TYPE_MX, TYPE_TLSA } from './asking.ts';
import { comesBack, exchangers } from './mail-exchangers.ts';
import { hopeless, type NoWay, notNow } from './no-way.ts';
import type { HostFacts } from './tls-requirement.ts';

export type FindingParts = {
  ask: Ask;
  /** Which addresses may be called: a stranger's domain must lead to nobody's inner servers. */
  guard: AddressGuard;
  /** Of mail servers, which their TLSA records name. */
  port: number;
  /** Of this gateway, lower case. */
  ownNames: readonly string[];
  /** Whether a mail server with this address is this gateway. */
  isOwn(address: string): boolean;
  /** From 0 to below 1. */
  random: () => number;
};

export type FoundHost =
  | ({ kind: 'host' /** IPv4 first. */; addresses: readonly string[] } & HostFacts)
  /** Nothing can be sent there, as things are. */
  | { kind: 'none'; name: string; noWay: NoWay };

/** This gateway. */
type Own = { kind: 'own'; name: string };

export type Found =
  /** In the order in which they are tried. */
  { kind: 'hosts'; hosts: readonly FoundHost[] } | NoWay;

/**
 * The mail servers of a domain as DNS has them: MX, addresses, and TLSA records where DNSSEC vouches for all of it (RFC 7672 §2.2).
 *
 * What is not known is never taken for what is not there: a name server that is silent, or says what it cannot prove, makes the mail wait.
 *
 * @param domain A-labels in lower case, or an address literal
 */
export async function findHosts(domain: string, parts: FindingParts, signal: AbortSignal): Promise<Found> {
  if (domain.startsWith('[')) return literalHost(domain, parts);
  // Other letters would become those of another name on the wire.
  if (!isName(domain)) return hopeless('5.1.2', 'there cannot be such a domain');
  const mx = await asked({ name: domain, type: TYPE_MX }, parts.ask, signal);
  if ('because' in mx) return mx;
  if (!mx.exists) return hopeless('5.1.2', `there is no domain ${domain}`);
  const named = exchangers(mx.records, parts);
  switch (named.kind) {
    case 'failed':
    case 'later':
      return named;
    case 'implicit':
      return othersThan([await findHost(domain, mx.isAuthentic, parts, signal)], new Map());
    case 'hosts':
      return othersThan(
        await Promise.all(named.names.map((name) => findHost(name, mx.isAuthentic, parts, signal))),
        named.preferences,
      );
  }
}

/** RFC 5321 §5.1: without this gateway, which has more names than it knows of, and without those who do not come before it. */
function othersThan(found: readonly (FoundHost | Own)[], preferences: ReadonlyMap<string, number>): Found {
  const preferenceOf = ({ name }: { name: string }) => preferences.get(name) ?? 0;
  const own = Math.min(...found.filter(({ kind }) => kind === 'own').map(preferenceOf));
  const hosts = found.flatMap((host) => (host.kind === 'own' || preferenceOf(host) >= own ? [] : [host]));
  return hosts.length === 0 ? comesBack() : { kind: 'hosts', hosts };
}

async function findHost(
  name: string,
  isNamedAuthentically: boolean,
  parts: FindingParts,
  signal: AbortSignal,
): Promise<FoundHost | Own> {
  const none = (noWay: NoWay): FoundHost => ({ kind: 'none', name, noWay });
  const answers = await Promise.all(
    [TYPE_A, TYPE_AAAA].map((type) => asked({ name, type }, parts.ask, signal)),
  );
  const known = answers.filter((answer) => 'records' in answer);
  const all = known.flatMap(({ records }) => records.map(addressIn)).filter((one) => one !== null);
  if (all.length === 0) {
    const unknown = answers.find((answer) => 'because' in answer);
    if (unknown !== undefined) return none(unknown);
    return none(hopeless('5.4.4', `${name} has no address`));
  }
  if (all.some((address) => parts.isOwn(address))) return { kind: 'own', name };
  const addresses = all.filter((address) => parts.guard.permits(address));
  if (addresses.length === 0) {
    return none(hopeless('5.4.4', `${name} has no address that may be called (queue.mx.allowAddresses)`));
  }
  const [first] = known;
  const facts = {
    ...{ kind: 'host' as const, name, canonical: first?.canonical ?? name, isNamedAuthentically },
    addresses: addresses.slice(0, limits.routing.addressesOfHost),
  };
  // RFC 7672 §2.2: without DNSSEC for server and address there is no DANE, and name servers that break at TLSA are not asked.
  if (!isNamedAuthentically) return { ...facts, tlsa: null };
  if (!known.every((answer) => answer.isAuthentic)) {
    // §2.2.2: an alias that is signed has its own records, wherever it leads to. What it leads to anybody can have said.
    if (facts.canonical === name) return { ...facts, tlsa: null };
    const alias = await asked({ name, type: TYPE_CNAME }, parts.ask, signal);
    if ('because' in alias) return none(alias);
    facts.canonical = name;
    if (!alias.isAuthentic || alias.records.length === 0) return { ...facts, tlsa: null };
  }
  const tlsa = await findTlsa(facts, parts, signal);
  return tlsa !== null && 'because' in tlsa ? none(tlsa) : { ...facts, tlsa };
}

/** §2.2.3: at the end of the aliases first, then at the name itself. */
async function findTlsa(
  { name, canonical }: { name: string; canonical: string },
  { ask, port }: FindingParts,
  signal: AbortSignal,
): Promise<HostFacts['tlsa'] | NoWay> {
  for (const base of new Set([canonical, name])) {
    const answer = await asked({ name: `_${port}._tcp.${base}`, type: TYPE_TLSA }, ask, signal);
    // §2.1: whoever can take the answer away must not take the protection away with it.
    if ('because' in answer) return answer;
    if (!answer.isAuthentic || answer.records.length === 0) continue;
    const associations = answer.records
      .slice(0, limits.routing.tlsaRecords)
      .map(readAssociation)
      .filter((one) => one !== null);
    return { base, associations };
  }
  return null;
}

async function asked(
  question: { name: string; type: number },
  ask: Ask,
  signal: AbortSignal,
): Promise<DnsAnswer | NoWay> {
  try {
    return await ask(question, signal);
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    return notNow(
      '4.4.3',
      `what DNS says of ${question.name} is not known: ${error.reason ?? error.publicText}`,
    );
  }
}

/** RFC 5321 §4.1.3: nobody is asked. */
function literalHost(domain: string, { guard, isOwn }: FindingParts): Found {
  const address = domain.slice(1, -1).replace(/^ipv6:/, '');
  if (isOwn(address)) return comesBack();
  if (!guard.permits(address)) {
    return hopeless('5.4.4', `${domain} is no address that may be called (queue.mx.allowAddresses)`);
  }
  const facts = { name: domain, canonical: domain, isNamedAuthentically: false, tlsa: null };
  return { kind: 'hosts', hosts: [{ kind: 'host', ...facts, addresses: [address] }] };
}

/** RFC 1035 §2.3.4, with "_" as an address may have it. */
function isName(domain: string): boolean {
  return domain.length <= 253 && domain.split('.').every((label) => /^[a-z0-9_-]{1,63}$/.test(label));
}

function addressIn(data: Buffer): string | null {
  return data.length === 4 || data.length === 16 ? ipText(data) : null;
}
