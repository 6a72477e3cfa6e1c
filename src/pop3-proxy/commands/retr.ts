import { ArrivingMessage } from '../arriving-message.ts';
import { writeCommand } from '../command-line.ts';
import { askName } from '../message-name.ts';
import { openMessage } from '../open-message.ts';
import { relayMessage, relayObserved, sendOctets } from '../send-message.ts';
import type { Exchange, TransactionContext } from '../transaction-context.ts';

/**
 * RETR (RFC 1939 §5). A message that is shown as it is stored passes as it comes. One that is encrypted is gathered, opened and
 * shown in exactly as many octets; nothing is said of it before its view is there whole.
 */
export function retr(context: TransactionContext, message: number): Exchange {
  const { maildrop, upstream, views } = context;
  const name = askName(context, message);
  const question = upstream.ask(writeCommand({ verb: 'RETR', message }), 'lines');
  return {
    delivers: message,
    holds: false,
    answer: async () => {
      const named = await name();
      const status = await question.status();
      if (status.kind !== 'ok') return context.pass(status);
      if (named === null && maildrop.kind(message) !== 'identity') maildrop.uidlRefused();
      const arriving = await ArrivingMessage.begin(question);
      const { messageClass } = arriving;
      const kind = maildrop.kind(message) ?? views.kindOf(messageClass, named ?? undefined);
      maildrop.learnKind(message, kind);
      if (kind === 'identity') await relayObserved(context, status, arriving, messageClass);
      else {
        const opened = await openMessage(context, message, named, arriving);
        if (opened.kind === 'withheld') {
          maildrop.withhold(message);
          return context.refuse(opened.reason);
        }
        try {
          if (opened.kind === 'too-large')
            await relayMessage(context, status, arriving, opened.octets.read());
          else
            await sendOctets(context, status, opened.octets.read(), {
              asStored: opened.kind === 'as-stored',
            });
        } finally {
          await opened.release();
        }
      }
      maildrop.delivered(message);
    },
  };
}
