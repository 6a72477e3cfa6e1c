import { type SayableCommand, writeCommand } from '../command-line.ts';
import type { Exchange, TransactionContext } from '../transaction-context.ts';

/** Commands whose answer is one line, and is the server's affair: sizes are those of the views (STAT, LIST). */
export function pass(context: TransactionContext, command: SayableCommand): Exchange {
  const question = context.upstream.ask(writeCommand(command), 'line');
  return {
    delivers: null,
    holds: false,
    answer: async () => context.pass(await question.status()),
  };
}

/** LIST of all messages. */
export function listAll(context: TransactionContext): Exchange {
  const question = context.upstream.ask(writeCommand({ verb: 'LIST', message: null }), 'lines');
  return {
    delivers: null,
    holds: false,
    answer: async () => {
      const status = await question.status();
      if (status.kind !== 'ok') return context.pass(status);
      context.begin(status);
      for (let piece = await question.body(); piece !== 'end'; piece = await question.body()) {
        await context.more(piece);
      }
      context.finish();
    },
  };
}

/** An answer that needs no server. */
export function say(context: TransactionContext, text: string): Exchange {
  return {
    delivers: null,
    holds: false,
    answer: async () => void context.client.write(text),
  };
}
