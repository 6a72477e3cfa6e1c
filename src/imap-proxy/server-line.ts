import { capabilitiesAfterLogin, type Telling } from './capability.ts';

/** What the first line of a response from the upstream is (RFC 9051 §7). */
export type ServerLine =
  | { kind: 'tagged'; tag: string; status: 'OK' | 'NO' | 'BAD' }
  | { kind: 'continuation' }
  | { kind: 'status'; status: 'OK' | 'NO' | 'BAD' | 'BYE' | 'PREAUTH' }
  | { kind: 'capability' }
  | { kind: 'fetch'; msn: number /** Offset after `FETCH `. */; at: number }
  | { kind: 'expunge'; msn: number }
  | { kind: 'vanished'; earlier: boolean; uids: string }
  /** Passed on as it is. */
  | { kind: 'data'; name: string }
  /** Not known, so not passed on. */
  | { kind: 'unknown' };

const DATA: ReadonlySet<string> = new Set(
  (
    'FLAGS LIST LSUB XLIST NAMESPACE STATUS QUOTA QUOTAROOT ACL LISTRIGHTS MYRIGHTS METADATA ENABLED ID SEARCH ESEARCH ' +
    'SORT THREAD'
  ).split(' '),
);

export function readServerLine(line: Buffer): ServerLine {
  return readFetch(line) ?? readOther(line);
}

const FETCH = Buffer.from(' FETCH ');

/** `* n FETCH `, by far the most frequent line of a listing; without a string for it. */
function readFetch(line: Buffer): ServerLine | null {
  if (line[0] !== 0x2a || line[1] !== 0x20) return null;
  let msn = 0;
  let at = 2;
  for (; at < 12; at++) {
    const digit = (line[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) break;
    msn = msn * 10 + digit;
  }
  // Buffer.compare would throw for a line that is shorter.
  const named =
    line.length >= at + FETCH.length && line.compare(FETCH, 0, FETCH.length, at, at + FETCH.length) === 0;
  if (msn === 0 || line[2] === 0x30 || !named) return null;
  return { kind: 'fetch', msn, at: at + FETCH.length };
}

function readOther(line: Buffer): ServerLine {
  const head = line.toString('latin1', 0, Math.min(line.length - 2, 300));
  if (head.startsWith('+'))
    return head === '+' || head[1] === ' ' ? { kind: 'continuation' } : { kind: 'unknown' };
  if (!head.startsWith('* ')) return readTagged(head);
  const numbered = /^\* ([1-9][0-9]{0,9}|0) ([A-Za-z]+)(?: |$)/.exec(head);
  if (numbered !== null)
    return readNumbered(Number(numbered[1]), (numbered[2] ?? '').toUpperCase(), numbered[0]);
  const name = (/^\* ([A-Za-z]+)(?: |$)/.exec(head)?.[1] ?? '').toUpperCase();
  switch (name) {
    case 'OK':
    case 'NO':
    case 'BAD':
    case 'BYE':
    case 'PREAUTH':
      return { kind: 'status', status: name };
    case 'CAPABILITY':
      return { kind: 'capability' };
    case 'VANISHED': {
      const text = line.toString('latin1', 2, line.length - 2);
      const found = /^VANISHED (\(EARLIER\) )?([0-9:,]+)$/i.exec(text);
      if (found === null) return { kind: 'unknown' };
      return { kind: 'vanished', earlier: found[1] !== undefined, uids: found[2] ?? '' };
    }
    default:
      return DATA.has(name) ? { kind: 'data', name } : { kind: 'unknown' };
  }
}

function readTagged(head: string): ServerLine {
  const found = /^([^ ]{1,256}) (OK|NO|BAD)(?: |$)/i.exec(head);
  if (found === null) return { kind: 'unknown' };
  return {
    kind: 'tagged',
    tag: found[1] ?? '',
    status: (found[2] ?? '').toUpperCase() as 'OK' | 'NO' | 'BAD',
  };
}

function readNumbered(number: number, name: string, prefix: string): ServerLine {
  switch (name) {
    case 'FETCH':
      return number === 0 ? { kind: 'unknown' } : { kind: 'fetch', msn: number, at: prefix.length };
    case 'EXPUNGE':
      return number === 0 ? { kind: 'unknown' } : { kind: 'expunge', msn: number };
    case 'EXISTS':
    case 'RECENT':
      return { kind: 'data', name };
    default:
      return { kind: 'unknown' };
  }
}

/**
 * A status response as the client gets it: capabilities filtered, nothing that leads to another server (REFERRAL of
 * RFC 2193 and RFC 2221), and no end that a careless client would take for a literal.
 */
export function cleanStatus(line: Buffer, telling: Telling): Buffer {
  // Nearly all say nothing of the kind.
  if (!hasCode(line) && line[line.length - 3] !== 0x7d) return line;
  let text = line.toString('latin1', 0, line.length - 2);
  const before = text;
  text = text.replace(/^([^ ]+ [A-Za-z]+ )\[CAPABILITY ([^\]]*)\]/i, (_, head: string, list: string) => {
    const upstream = list.split(' ').filter((each) => each !== '');
    return `${head}[CAPABILITY ${capabilitiesAfterLogin(upstream, telling).join(' ')}]`;
  });
  text = text.replace(/^([^ ]+ [A-Za-z]+ )\[(?:REFERRAL|BADURL)\b[^\]]*\] ?/i, '$1');
  text = text.replace(/(\{[0-9]+\+?)\}$/, '$1)');
  return text === before ? line : Buffer.from(`${text}\r\n`, 'latin1');
}

/** Whether a response code may be in it. */
function hasCode(line: Buffer): boolean {
  return line.indexOf(0x5b) !== -1;
}

/** The untagged CAPABILITY response as the client gets it after login. */
export function cleanCapability(line: Buffer, telling: Telling): Buffer {
  const list = capabilityList(line) ?? [];
  return Buffer.from(`* CAPABILITY ${capabilitiesAfterLogin(list, telling).join(' ')}\r\n`, 'latin1');
}

/** The capabilities a line tells, as data or as a response code; null: none. */
export function capabilityList(line: Buffer): string[] | null {
  if (!hasCode(line) && !/^\* c/i.test(line.toString('latin1', 0, 3))) return null;
  const text = line.toString('latin1', 0, line.length - 2);
  const found =
    /^\* CAPABILITY (.*)$/i.exec(text) ?? /^[^ ]+ (?:OK|PREAUTH|NO|BAD) \[CAPABILITY ([^\]]*)\]/i.exec(text);
  return found === null ? null : (found[1] ?? '').split(' ').filter((each) => each !== '');
}

/** What a server says of the mailbox that is being selected (RFC 9051 §6.3.2, RFC 8474 §5.1). */
export type MailboxNews =
  | { uidValidity: number }
  | { uidNext: number }
  | { exists: number }
  | { mailboxId: string }
  | { permanentFlags: string };

/** Of a line with the flags of a mailbox. */
const FLAGS_OCTETS = 16_384;

/** null: another line. */
export function mailboxNewsOf(line: Buffer): MailboxNews | null {
  const text = line.toString('latin1', 0, 400);
  const exists = /^\* ([0-9]{1,10}) EXISTS\r\n/i.exec(text);
  if (exists !== null) return { exists: Number(exists[1]) };
  const [, number, value = ''] = /^\* OK \[(UIDVALIDITY|UIDNEXT) ([0-9]{1,10})\]/i.exec(text) ?? [];
  if (number !== undefined) {
    return number.toUpperCase() === 'UIDNEXT' ? { uidNext: Number(value) } : { uidValidity: Number(value) };
  }
  const [permanent, permanentFlags = ''] =
    /^\* OK \[PERMANENTFLAGS \(([^()\r\n]*)\)/i.exec(line.toString('latin1', 0, FLAGS_OCTETS)) ?? [];
  if (permanent !== undefined) return { permanentFlags };
  const [, mailboxId] = /^\* OK \[MAILBOXID \(([A-Za-z0-9_-]{1,255})\)\]/i.exec(text) ?? [];
  return mailboxId === undefined ? null : { mailboxId };
}
