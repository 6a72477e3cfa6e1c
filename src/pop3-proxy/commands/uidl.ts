import { writeCommand } from '../command-line.ts';
import { ToldListing, toldLine } from '../told-uidl.ts';
import type { Exchange, TransactionContext } from '../transaction-context.ts';

/** UIDL (RFC 1939 §7), unchanged but for the epoch. What is learnt from it need not be asked for later. */
export function uidl(context: TransactionContext, message: number | null): Exchange {
  const { maildrop, upstream } = context;
  const question = upstream.ask(writeCommand({ verb: 'UIDL', message }), message === null ? 'lines' : 'line');
  return {
    delivers: null,
    holds: false,
    answer: async () => {
      const status = await question.status();
      if (status.kind === 'ok' && message !== null) maildrop.learnUidl(status.text.replace(/^\+OK +/i, ''));
      if (status.kind !== 'ok') return context.pass(status);
      const { epoch } = maildrop;
      if (message !== null) return context.pass({ ...status, text: toldLine(status.text, epoch) });
      const told = epoch === 0 ? null : new ToldListing(epoch);
      const lines = new ShortLines((line) => maildrop.learnUidl(line));
      context.begin(status);
      for (let piece = await question.body(); piece !== 'end'; piece = await question.body()) {
        lines.add(piece);
        await context.more(told === null ? piece : told.add(piece));
      }
      context.finish();
    },
  };
}

/** A number, a blank and 70 octets. */
const LINE_OCTETS = 100;

/** Lines of what comes in pieces; longer ones are left out. */
class ShortLines {
  readonly #found: (line: string) => void;
  #begun = '';

  constructor(found: (line: string) => void) {
    this.#found = found;
  }

  add(piece: Buffer): void {
    const [first = '', ...others] = piece.toString('latin1').split('\r\n');
    this.#begun += first;
    for (const line of others) {
      if (this.#begun.length <= LINE_OCTETS) this.#found(this.#begun);
      this.#begun = line;
    }
    // Enough to know that it is too long; a CR may be the first half of its end.
    if (this.#begun.length > 2 * LINE_OCTETS) this.#begun = this.#begun.slice(-2 * LINE_OCTETS);
  }
}
