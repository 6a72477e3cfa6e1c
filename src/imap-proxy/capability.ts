import { limits } from '../limits.ts';
import { type Mechanism, mechanismsToOffer } from '../sasl/mechanism.ts';
import type { RelayedMechanism } from '../sasl/relayed-identity.ts';
import { largestAtRest } from './append/largest-at-rest.ts';

/**
 * The allow-list of capabilities. A capability that is not in it is not shown: it could lead the client to a command,
 * a response or another server that the gateway does not follow (REFERRALS, JMAPACCESS, UIDONLY …).
 *
 * IMAP4rev2 (RFC 9051 appendix E) is not in it. What it is made of is offered by its own names; once enabled, it also changes the form of
 * mailbox names and of answers, and no server at hand has it, so that nobody could say whether all of that is right.
 */
const KEPT: ReadonlySet<string> = new Set(
  (
    'IMAP4REV1 ACL CHILDREN NAMESPACE LIST-EXTENDED LIST-STATUS LIST-MYRIGHTS SPECIAL-USE CREATE-SPECIAL-USE XLIST QUOTA ' +
    'QUOTASET METADATA METADATA-SERVER UNSELECT ENABLE ID WITHIN SAVEDATE OBJECTID STATUS=SIZE X-GM-EXT-1 IDLE ' +
    'UIDPLUS MOVE CONDSTORE QRESYNC ESEARCH SEARCHRES SORT SORT=DISPLAY UTF8=ACCEPT APPENDLIMIT MULTIAPPEND REPLACE ' +
    'BINARY PREVIEW PARTIAL'
  ).split(' '),
);
const KEPT_FAMILIES = ['RIGHTS=', 'THREAD=', 'QUOTA=', 'I18NLEVEL=', 'APPENDLIMIT='];

function isKept(capability: string): boolean {
  const name = capability.toUpperCase();
  return KEPT.has(name) || KEPT_FAMILIES.some((family) => name.startsWith(family));
}

/** What shapes the list that a client is told. */
export type Telling = {
  /** Whether mail may be encrypted before it is stored: one message at a time, which becomes larger. */
  storesAtRest: boolean;
  /** Names that an administrator hides, upper case. */
  hidden: ReadonlySet<string>;
};

/** What the gateway does itself, whatever the upstream has: RFC 7888, RFC 4978, RFC 9585. */
const OWN = ['LITERAL+', 'COMPRESS=DEFLATE', 'INPROGRESS'];

/** What a client sees after login of the capabilities an upstream has, and of the gateway's own. */
export function capabilitiesAfterLogin(
  upstream: readonly string[],
  { storesAtRest, hidden }: Telling,
): string[] {
  const shown = upstream.filter(isKept);
  const kept = storesAtRest ? storingAtRest(shown) : shown;
  const base = kept.some((each) => each.toUpperCase() === 'IMAP4REV1') ? kept : ['IMAP4rev1', ...kept];
  return [...base, ...OWN].filter((each) => !hidden.has(each.toUpperCase()));
}

/** RFC 7889: what is said is what may be sent here. */
function storingAtRest(shown: readonly string[]): string[] {
  const kept = shown.filter((each) => !/^(?:MULTIAPPEND|APPENDLIMIT=.*)$/i.test(each));
  const said = shown
    .map((each) => /^APPENDLIMIT=([0-9]{1,15})$/i.exec(each)?.[1])
    .find((each) => each !== undefined);
  const stored = Math.min(limits.messageOctets, Number(said ?? limits.messageOctets));
  return [...kept.filter((each) => !/^APPENDLIMIT$/i.test(each)), `APPENDLIMIT=${largestAtRest(stored)}`];
}

export type BeforeLogin = {
  /** Mechanisms the gateway and the upstream both have. */
  mechanisms: readonly string[];
  /** Whether STARTTLS is offered on this connection. */
  startTls: boolean;
  /** Whether a password may be sent on this connection as it is. */
  loginAllowed: boolean;
  /** Names that an administrator hides, upper case. */
  hidden: ReadonlySet<string>;
};

/** The same list in the greeting and in the answer to CAPABILITY. */
export function capabilitiesBeforeLogin(state: BeforeLogin): string[] {
  const list = ['IMAP4rev1', 'SASL-IR', 'LITERAL-', 'ID'];
  if (state.startTls) list.push('STARTTLS');
  if (state.loginAllowed) list.push(...state.mechanisms.map((each) => `AUTH=${each}`));
  if (!state.loginAllowed || !state.mechanisms.includes('PLAIN')) list.push('LOGINDISABLED');
  return list.filter((each) => !state.hidden.has(each.toUpperCase()));
}

/**
 * PLAIN and LOGIN are the same secret to the gateway: one of them, or the LOGIN command, upstream is enough for both. Mechanisms that
 * are relayed are those that the upstream has and an administrator permits.
 */
export function offeredMechanisms(
  upstream: ReadonlySet<string>,
  relayed: readonly RelayedMechanism[] = [],
): readonly (Mechanism | RelayedMechanism)[] {
  const offered = [...upstream].flatMap((each) =>
    each.startsWith('AUTH=') ? [each.slice('AUTH='.length)] : [],
  );
  return [
    ...mechanismsToOffer(upstream.has('LOGINDISABLED') ? offered : [...offered, 'PLAIN']),
    ...relayed.filter((mechanism) => offered.includes(mechanism)),
  ];
}

/** Upper-case set of a capability list as text. */
export function readCapabilities(text: string): Set<string> {
  return new Set(
    text
      .split(' ')
      .filter((each) => each !== '')
      .map((each) => each.toUpperCase()),
  );
}
