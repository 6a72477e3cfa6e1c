import type { Pending } from './pending.ts';
import type { Exchange } from './session.ts';

/** Octets of a command as they go on the wire: text between literals (latin1), and what is sent as a literal. */
export type Written = readonly (string | Buffer)[];

/** RFC 7888 §5: with LITERAL- a non-synchronising literal has at most this many octets. */
const LITERAL_MINUS_OCTETS = 4_096;

/** Whether the mail server takes a literal of that size without being asked before. */
export function takesNonSync(capabilities: ReadonlySet<string>, octets: number): boolean {
  if (capabilities.has('LITERAL+')) return true;
  return capabilities.has('LITERAL-') && octets <= LITERAL_MINUS_OCTETS;
}

/**
 * Sends a whole command that the gateway has at hand, its line end included in `written`; `pending` is on its way already.
 * Where the mail server refuses a literal, the rest is not sent: the command has its answer then.
 */
export async function sendWritten(exchange: Exchange, pending: Pending, written: Written): Promise<void> {
  const { upstream, upstreamCapabilities } = exchange.parts;
  let line: Buffer[] = [];
  for (const piece of written) {
    if (typeof piece === 'string') {
      line.push(Buffer.from(piece, 'latin1'));
      continue;
    }
    if (takesNonSync(upstreamCapabilities, piece.length)) {
      line.push(Buffer.from(`{${piece.length}+}\r\n`), piece);
      continue;
    }
    const accepted = pending.continuation(false);
    await upstream.write(Buffer.concat([...line, Buffer.from(`{${piece.length}}\r\n`)]));
    if (!(await exchange.owed(accepted))) return;
    line = [piece];
  }
  await upstream.write(Buffer.concat(line));
}
