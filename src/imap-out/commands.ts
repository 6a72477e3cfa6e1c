import { quotedMailbox } from './mailbox-name.ts';
import type { ImapAccount } from './session.ts';

/**
 * Commands without their tags, CRLF included, cut where the server has to say that it waits for more (`+`): after the announcement of a
 * literal, and where a mechanism of SASL asks. Pure.
 *
 * Must never happen: a login, a password or a name of a mailbox that ends its line, so that what follows it is a command.
 */
export type Command = readonly Buffer[];

/** @param capabilities in capitals */
export type Capabilities = ReadonlySet<string>;

export function plainCommand(text: string): Command {
  return [line(text)];
}

/**
 * RFC 9051 §6.2.2, §6.2.3.
 *
 * @returns null: the server offers no login by password
 * @throws Error for control characters, which neither the configuration nor a login has
 */
export function loginCommand(capabilities: Capabilities, { login, password }: ImapAccount): Command | null {
  const secret = password.reveal();
  if (/[\0\r\n]/.test(login + secret)) throw new Error('a login with control characters');
  if (capabilities.has('AUTH=PLAIN')) {
    const coded = Buffer.from(`\0${login}\0${secret}`, 'utf8').toString('base64');
    // RFC 4959 §3: it goes with the command where the server takes it so.
    return capabilities.has('SASL-IR')
      ? [line(`AUTHENTICATE PLAIN ${coded}`)]
      : [line('AUTHENTICATE PLAIN'), line(coded)];
  }
  if (capabilities.has('LOGINDISABLED')) return null;
  // As literals, so that no octet of them means anything to the server.
  const [name, word] = [Buffer.from(login, 'utf8'), Buffer.from(secret, 'utf8')];
  const afterName = line(` {${word.length}}`);
  return [line(`LOGIN {${name.length}}`), Buffer.concat([name, afterName]), Buffer.concat([word, line('')])];
}

/** @param verb `CREATE` or `SUBSCRIBE`: its one argument is the mailbox */
export function mailboxCommand(verb: string, mailbox: string, capabilities: Capabilities): Command {
  return [Buffer.concat([Buffer.from(`${verb} `), quoted(mailbox, capabilities), line('')])];
}

/** RFC 7888 §5: literals of so many octets may go to every such server without being asked for. */
const SMALL_LITERAL = 4096;

/**
 * RFC 9051 §6.3.12, the message marked as read. A large one is announced first, so that a server that does not want it can say so before it is
 * sent.
 *
 * @returns null: the message has a NUL, and the server does not take one
 */
export function appendCommand(mailbox: string, octets: Buffer, capabilities: Capabilities): Command | null {
  const hasNul = octets.includes(0);
  // RFC 3516 §4.4: a NUL stands in a literal8 alone.
  if (hasNul && !capabilities.has('BINARY')) return null;
  const unasked =
    octets.length <= SMALL_LITERAL && (capabilities.has('LITERAL+') || capabilities.has('LITERAL-'));
  const announced = Buffer.concat([
    Buffer.from('APPEND '),
    quoted(mailbox, capabilities),
    line(` (\\Seen) ${hasNul ? '~' : ''}{${octets.length}${unasked ? '+' : ''}}`),
  ]);
  const end = line('');
  return unasked ? [Buffer.concat([announced, octets, end])] : [announced, Buffer.concat([octets, end])];
}

/** RFC 7889 §3; null: the server names no limit for all mailboxes. */
export function largestAppend(capabilities: Capabilities): number | null {
  for (const each of capabilities) {
    const [, digits] = /^APPENDLIMIT=(\d{1,15})$/.exec(each) ?? [];
    if (digits !== undefined) return Number(digits);
  }
  return null;
}

/** RFC 9051 Appendix A: names are UTF-8 to a server that speaks nothing but IMAP4rev2. */
function quoted(mailbox: string, capabilities: Capabilities): Buffer {
  return quotedMailbox(mailbox, capabilities.has('IMAP4REV2') && !capabilities.has('IMAP4REV1'));
}

function line(text: string): Buffer {
  return Buffer.from(`${text}\r\n`, 'utf8');
}
