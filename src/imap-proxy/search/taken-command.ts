import { limits } from '../../limits.ts';
import type { Piece } from '../client-command.ts';
import type { CommandContext, LineEvent } from '../commands/command-context.ts';
import type { FramerEvent } from '../framer.ts';
import type { Written } from '../written-command.ts';

/** A command that is here whole, its literals among it. */
export type TakenCommand = {
  /** As the client sent it, tag and line end included. */
  written: Written;
  /** What follows its name. */
  pieces: readonly Piece[];
};

/**
 * Takes the rest of a command whose first line is here. null: there is nothing more to be done with it, since the client has gone
 * or it was too large and is answered.
 *
 * @param argument of its first line, as `readCommandStart` has it
 */
export async function takeCommand(
  { exchange, takeLiteral, refuse }: CommandContext,
  event: LineEvent,
  { tag, argument }: { tag: string; argument: string },
): Promise<TakenCommand | null> {
  const written: (string | Buffer)[] = [];
  const pieces: Piece[] = [];
  let line: FramerEvent = event;
  let octets = 0;
  for (;;) {
    const text = line.octets.toString('latin1');
    octets += text.length;
    const { literal }: LineEvent = line;
    const size = literal === null ? 0 : (/\{[0-9]+\+?\}\r\n$/.exec(text)?.[0].length ?? 0);
    written.push(text.slice(0, text.length - size));
    const from = line.first ? text.length - 2 - argument.length : 0;
    pieces.push({ kind: 'text', text: text.slice(from, text.length - Math.max(size, 2)) });
    if (literal === null) return { written, pieces };
    octets += literal.size;
    if (octets > limits.imap.commandOctets) {
      await refuse(line, tag, 'NO', '[LIMIT] Too large');
      return null;
    }
    const taken = await takeLiteral(literal.size, literal.nonSync);
    if (taken === null) return null;
    written.push(taken);
    pieces.push({ kind: 'literal', octets: taken });
    const next = await exchange.parts.client.next();
    if (next === null || next.type !== 'line') return null;
    line = next;
  }
}
