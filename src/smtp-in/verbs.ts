import { unreachable } from '../errors.ts';
import type { Command } from '../smtp/command-line.ts';
import { reply } from '../smtp/reply.ts';
import { auth } from './auth.ts';
import { bdat } from './bdat.ts';
import { beginWithinLimits, rcptWithinLimits } from './before-message.ts';
import type { Conversation, Step } from './conversation.ts';
import { data } from './data.ts';
import { ehlo, helo, lhlo, noAuth } from './ehlo.ts';
import { help } from './help.ts';
import { mailFrom } from './mail-from.ts';
import { noop } from './noop.ts';
import { quit } from './quit.ts';
import { rcptTo } from './rcpt-to.ts';
import { rset } from './rset.ts';
import { startTls } from './starttls.ts';
import { xclient, xforward } from './trusted-proxy.ts';
import { expn, vrfy } from './vrfy.ts';

/** Each verb and its file. `underWay`: relayed commands of which the replies are still to come. */
export function perform(
  conversation: Conversation,
  command: Command,
  underWay: number,
): Step | Promise<Step> {
  switch (command.verb) {
    case 'EHLO':
      return ehlo(conversation, command.domain);
    case 'HELO':
      return helo(conversation, command.domain);
    case 'LHLO':
      return lhlo(conversation, command.domain);
    case 'STARTTLS':
      return startTls(conversation);
    case 'AUTH':
      return conversation.ports.admission === undefined ? auth(conversation, command) : noAuth();
    case 'MAIL':
      return beginWithinLimits(conversation, () => mailFrom(conversation, command));
    case 'RCPT':
      // RFC 3030 §2: all recipients are said before the first chunk.
      if (conversation.chunks !== null) return { kind: 'reply', reply: SEND_BDAT };
      return rcptWithinLimits(conversation, () => rcptTo(conversation, command, underWay));
    case 'DATA':
      return data(conversation);
    case 'BDAT':
      return bdat(conversation, command);
    case 'RSET':
      return rset(conversation);
    case 'NOOP':
      return noop(conversation);
    case 'QUIT':
      return quit();
    case 'HELP':
      return help();
    case 'VRFY':
      return vrfy();
    case 'EXPN':
      return expn();
    case 'XCLIENT':
      return xclient(conversation, command.attributes);
    case 'XFORWARD':
      return xforward(conversation, command.attributes);
    case 'malformed':
      return { kind: 'reply', reply: command.reply };
    case 'fatal':
      return { kind: 'end', reply: command.reply };
    default:
      return unreachable(command);
  }
}

const SEND_BDAT = reply(503, '5.5.1', 'Send BDAT or RSET');
