import { isUtf8 } from 'node:buffer';
import { limits } from '../limits.ts';
import { type ClientAttributes, readClientAttributes } from './client-attributes.ts';
import type { Mailbox, Parameter, ReversePath } from './envelope.ts';
import { readParameters } from './parameters.ts';
import { readPath } from './path.ts';
import { type Reply, reply } from './reply.ts';

/** A command as it was sent; nothing about the session is judged here. RFC 5321 §4.1.1. */
export type Command =
  /** LHLO is LMTP's (RFC 2033 §4.1). */
  | { verb: 'EHLO' | 'HELO' | 'LHLO'; domain: string }
  | { verb: 'STARTTLS' }
  /** The initial response is still Base64 (or `=` for an empty one) and shares memory with the line. RFC 4954 §4. */
  | { verb: 'AUTH'; mechanism: string; initialResponse: Buffer | null }
  | { verb: 'MAIL'; reversePath: ReversePath; parameters: readonly Parameter[] }
  | { verb: 'RCPT'; mailbox: Mailbox; parameters: readonly Parameter[] }
  /** `octets` of the message follow the line (RFC 3030 §2). */
  | { verb: 'BDAT'; octets: number; last: boolean }
  | { verb: 'DATA' | 'RSET' | 'NOOP' | 'QUIT' | 'HELP' | 'VRFY' | 'EXPN' }
  /** What a proxy says of its client; who is believed is not judged here. */
  | { verb: 'XCLIENT' | 'XFORWARD'; attributes: ClientAttributes }
  /** Not understood: `reply` says why. */
  | { verb: 'malformed'; reply: Reply }
  /** What follows it would not be commands: the session has to end with `reply`. */
  | { verb: 'fatal'; reply: Reply };

// The first word of a line that belongs to another protocol, whose further lines somebody else may have chosen (a browser
// made to post a form to this port), or that is about octets which are elsewhere (BURL, RFC 4468 §3).
const FOREIGN = new Set([
  'GET',
  'POST',
  'PUT',
  'HEAD',
  'OPTIONS',
  'CONNECT',
  'PATCH',
  'DELETE',
  'TRACE',
  'BURL',
]);

const syntax = (text: string): Command => ({ verb: 'malformed', reply: reply(501, '5.5.4', text) });

/**
 * Reads one command line without its CRLF:
 *
 *     command = verb [ SP argument ] CRLF
 *
 * Blanks before the CRLF are tolerated (RFC 5321 §4.1.1). One SP behind `FROM:` and `TO:` is taken too, as many a device sends it;
 * the path is written anew for the upstream, so nobody reads it differently.
 */
export function readCommand(line: Buffer): Command {
  const verb = /^[A-Za-z0-9]{1,16}(?= |$)/.exec(line.toString('latin1', 0, 17))?.[0].toUpperCase() ?? '';
  if (verb === 'AUTH') return readAuth(line);
  if (/^BDAT(?![A-Za-z0-9])/i.test(line.toString('latin1', 0, 5))) return readBdat(line);
  if (FOREIGN.has(verb))
    return { verb: 'fatal', reply: reply(502, '5.5.1', `${verb} is not supported here`) };
  if (line.length + 2 > limits.smtp.mailCommandOctets) {
    return { verb: 'malformed', reply: reply(500, '5.5.2', 'The command line is too long') };
  }
  if (!isUtf8(line)) {
    return { verb: 'malformed', reply: reply(500, '5.5.2', 'The command is not valid UTF-8') };
  }
  const text = line.toString('utf8').replace(/ +$/, '');
  if (/[\x00-\x1f\x7f]/.test(text)) {
    return { verb: 'malformed', reply: reply(500, '5.5.2', 'The command contains a control character') };
  }
  const argument = text.slice(verb.length + 1);
  switch (verb) {
    case 'MAIL':
      return readMail(argument);
    case 'RCPT':
      return readRcpt(argument);
    case 'EHLO':
    case 'HELO':
    case 'LHLO':
      // Names that are no domain are in daily use and go nowhere: any word without blanks will do.
      return /^[^ ]{1,255}$/.test(argument)
        ? { verb, domain: argument }
        : syntax(`${verb} needs the name of the client`);
    case 'DATA':
    case 'RSET':
    case 'QUIT':
    case 'STARTTLS':
      return argument === '' ? { verb } : syntax(`${verb} takes no argument`);
    case 'XCLIENT':
    case 'XFORWARD': {
      const attributes = readClientAttributes(verb, argument);
      return attributes === null ? syntax(`The attributes of ${verb} are malformed`) : { verb, attributes };
    }
    case 'NOOP':
    case 'HELP':
      return { verb };
    case 'VRFY':
    case 'EXPN':
      return argument === '' ? syntax(`${verb} needs an argument`) : { verb };
    default:
      return { verb: 'malformed', reply: reply(500, '5.5.1', 'The command is not known') };
  }
}

/** `"AUTH" SP sasl-mech [SP initial-response]`, RFC 4954 §4 and §8. Never turned into a string as a whole: it holds a secret. */
function readAuth(line: Buffer): Command {
  const mechanism = /^AUTH ([A-Z0-9_-]{1,20})(?= |$)/i.exec(line.toString('latin1', 0, 26))?.[1];
  if (mechanism === undefined) return syntax('AUTH needs the name of a mechanism');
  let end = line.length;
  while (line[end - 1] === 32) end--;
  const from = 5 + mechanism.length;
  if (end <= from) return { verb: 'AUTH', mechanism: mechanism.toUpperCase(), initialResponse: null };
  const initialResponse = line.subarray(from + 1, end);
  if (initialResponse.includes(32)) return syntax('AUTH has too many arguments');
  return { verb: 'AUTH', mechanism: mechanism.toUpperCase(), initialResponse };
}

/**
 * `"BDAT" SP chunk-size [SP "LAST"]`, RFC 3030 §2. Fatal where it is malformed: nobody knows how many of the octets behind it are
 * no commands.
 */
function readBdat(line: Buffer): Command {
  const found = line.length > 64 ? null : /^BDAT ([0-9]{1,15})( LAST)? *$/i.exec(line.toString('latin1'));
  if (found === null) {
    return { verb: 'fatal', reply: reply(501, '5.5.4', 'BDAT needs a size; closing the connection') };
  }
  return { verb: 'BDAT', octets: Number(found[1]), last: found[2] !== undefined };
}

/** `"MAIL FROM:" Reverse-path [SP Mail-parameters]`, RFC 5321 §4.1.1.2. */
function readMail(argument: string): Command {
  const at = pathOffset(argument, 'FROM:');
  if (at === -1) return syntax('MAIL must look like MAIL FROM:<address>');
  const path = readPath(argument, at);
  if (path.kind === 'malformed') {
    return { verb: 'malformed', reply: reply(501, '5.1.7', `The sender is malformed: ${path.what}`) };
  }
  const parameters = readTail(argument, path.end);
  if (parameters === null) return syntax('The parameters of MAIL are malformed');
  return { verb: 'MAIL', reversePath: path.kind === 'null' ? null : path.mailbox, parameters };
}

/** `"RCPT TO:" ( "<Postmaster>" / Forward-path ) [SP Rcpt-parameters]`, RFC 5321 §4.1.1.3. */
function readRcpt(argument: string): Command {
  const at = pathOffset(argument, 'TO:');
  if (at === -1) return syntax('RCPT must look like RCPT TO:<address>');
  const path = readPath(argument, at);
  if (path.kind !== 'mailbox') {
    const what = path.kind === 'null' ? 'it is empty' : path.what;
    return { verb: 'malformed', reply: reply(501, '5.1.3', `The recipient is malformed: ${what}`) };
  }
  const parameters = readTail(argument, path.end);
  if (parameters === null) return syntax('The parameters of RCPT are malformed');
  return { verb: 'RCPT', mailbox: path.mailbox, parameters };
}

function pathOffset(argument: string, keyword: string): number {
  if (argument.slice(0, keyword.length).toUpperCase() !== keyword) return -1;
  return argument[keyword.length] === ' ' ? keyword.length + 1 : keyword.length;
}

function readTail(argument: string, end: number): readonly Parameter[] | null {
  if (end === argument.length) return [];
  return argument[end] === ' ' ? readParameters(argument.slice(end + 1)) : null;
}
