import { type CommandStart, type Piece, readCommandStart } from './client-command.ts';
import { clientProtocol } from './commands/command-context.ts';
import type { FramerEvent } from './framer.ts';
import type { Wire } from './wire.ts';

type LineEvent = Extract<FramerEvent, { type: 'line' }>;

/** Octets of one command before login, literals included; a token may be long. */
const COMMAND_OCTETS = 65_536;

/** Reads a whole command, its literals included. `refused`: it was answered already. null: the client has gone. */
export async function nextCommand(
  client: Wire,
): Promise<{ start: CommandStart; pieces: Piece[] } | 'refused' | null> {
  const first = await client.next();
  if (first === null) return null;
  if (first.type !== 'line') throw clientProtocol('a literal without a command');
  const start = readCommandStart(withoutLiteral(first));
  if (start === null) throw clientProtocol('a line without a tag');
  const pieces: Piece[] = [{ kind: 'text', text: start.argument }];
  let octets = first.octets.length;
  for (let line = first; line.literal !== null; ) {
    const { size, nonSync } = line.literal;
    octets += size;
    if (octets > COMMAND_OCTETS) {
      if (nonSync) throw clientProtocol('a command before login is larger than allowed');
      client.abandonLiteral();
      client.write(`${start.tag} NO [LIMIT] Too large\r\n`);
      return 'refused';
    }
    if (!nonSync) client.write('+ Go on\r\n');
    const literal = Buffer.alloc(size);
    for (let left = size; left > 0; ) {
      const part = await client.next();
      if (part === null) return null;
      if (part.type !== 'literal') throw clientProtocol('a line inside a literal');
      part.octets.copy(literal, size - left);
      left = part.remaining;
    }
    const next = await client.next();
    if (next === null) return null;
    if (next.type !== 'line') throw clientProtocol('a literal out of place');
    pieces.push({ kind: 'literal', octets: literal });
    const text = withoutLiteral(next);
    pieces.push({ kind: 'text', text: text.toString('latin1', 0, text.length - 2) });
    octets += next.octets.length;
    line = next;
  }
  return { start, pieces };
}

/** The line up to the `{n}` that ends it, with a line end. */
function withoutLiteral(event: LineEvent): Buffer {
  if (event.literal === null) return event.octets;
  return Buffer.from(event.octets.toString('latin1').replace(/~?\{[0-9]+\+?\}\r\n$/, '\r\n'), 'latin1');
}
