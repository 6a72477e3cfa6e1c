import { textOfName } from '../dns/message.ts';
import { limits } from '../limits.ts';
import { hopeless, type NoWay } from './no-way.ts';

/** MX records and the order in which servers are tried (RFC 5321 §5.1). Pure. */

export type MailExchanger = { preference: number; name: string };

export type Exchangers =
  /** As they are to be tried, and which of them come before which. */
  | { kind: 'hosts'; names: readonly string[]; preferences: ReadonlyMap<string, number> }
  /** There are no MX records: the domain itself is its mail server. */
  | { kind: 'implicit' }
  | NoWay;

/**
 * @param records RDATA of MX records with whole names
 * @param ownNames of this gateway, lower case
 * @param random from 0 to below 1
 */
export function exchangers(
  records: readonly Buffer[],
  { ownNames, random }: { ownNames: readonly string[]; random: () => number },
): Exchangers {
  if (records.length === 0) return { kind: 'implicit' };
  const read = records.map(readMailExchanger).filter((one) => one !== null);
  // RFC 7505 §3: the root alone says that nobody takes mail. Beside others it is no server.
  if (read.length === 1 && records.length === 1 && read[0]?.name === '') {
    return hopeless('5.1.10', 'its domain says that it takes no mail (null MX)');
  }
  const servers = read.filter(({ name }) => name !== '');
  if (servers.length === 0) return hopeless('5.4.4', 'its domain names no mail server that there could be');
  // RFC 5321 §5.1: whoever is among them hands on to nobody who comes no earlier, or the mail would go round in circles.
  const own = servers
    .filter(({ name }) => ownNames.includes(name))
    .reduce((least, { preference }) => Math.min(least, preference), Number.POSITIVE_INFINITY);
  const before = servers.filter(({ preference }) => preference < own);
  if (before.length === 0) return comesBack();
  const chosen = ordered(before, random).slice(0, limits.routing.hosts);
  return {
    kind: 'hosts',
    names: chosen.map(({ name }) => name),
    preferences: new Map(chosen.map(({ name, preference }) => [name, preference])),
  };
}

/** RFC 5321 §5.1: whoever is first among the servers of a domain has nobody to hand its mail to. */
export function comesBack(): NoWay {
  return hopeless(
    '5.4.6',
    'this gateway is the mail server of its domain itself, so it would come back here',
  );
}

/** null: the name is none that a host has. '': the root. */
export function readMailExchanger(data: Buffer): MailExchanger | null {
  if (data.length < 3) return null;
  const name = textOfName(data.subarray(2));
  return name === null ? null : { preference: data.readUInt16BE(0), name };
}

/** By preference; among equals any order, so that they share the load. Each name once, where it comes first. */
function ordered(servers: readonly MailExchanger[], random: () => number): MailExchanger[] {
  const shuffled = [...servers];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const [one, other] = [shuffled[i], shuffled[j]];
    if (one !== undefined && other !== undefined) [shuffled[i], shuffled[j]] = [other, one];
  }
  const sorted = shuffled.toSorted((a, b) => a.preference - b.preference);
  return [...Map.groupBy(sorted, ({ name }) => name).values()].flatMap(([first]) => first ?? []);
}
