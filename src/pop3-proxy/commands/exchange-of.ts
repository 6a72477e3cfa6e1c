import { unreachable } from '../../errors.ts';
import type { CommandLine } from '../command-line.ts';
import { refusal } from '../reply-text.ts';
import type { Exchange, TransactionContext } from '../transaction-context.ts';
import { capa } from './capa.ts';
import { dele } from './dele.ts';
import { listAll, pass, say } from './pass.ts';
import { retr } from './retr.ts';
import { top } from './top.ts';
import { uidl } from './uidl.ts';

/** Sends a command of the TRANSACTION state on; what is none is answered by the gateway. */
export function exchangeOf(context: TransactionContext, command: CommandLine): Exchange {
  switch (command.verb) {
    case 'STAT':
    case 'NOOP':
    case 'RSET':
    case 'QUIT':
      return pass(context, command);
    case 'LIST':
      return command.message === null ? listAll(context) : pass(context, command);
    case 'UIDL':
      return uidl(context, command.message);
    case 'DELE':
      return dele(context, command.message);
    case 'RETR':
      return retr(context, command.message);
    case 'TOP':
      return top(context, command.message, command.lines);
    case 'CAPA':
      return capa(context);
    case 'AUTH':
    case 'PASS':
    case 'STLS':
    case 'USER':
      return say(context, refusal(null, 'You are logged in'));
    case null:
      return say(
        context,
        refusal(
          null,
          command.fault === 'unknown' ? 'Unknown command, or not offered here' : 'Malformed arguments',
        ),
      );
    default:
      return unreachable(command);
  }
}
