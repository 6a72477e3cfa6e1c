import { lineAfter } from '../mail/header.ts';
import type { ViewNames } from './view-names.ts';

/**
 * A message that arrives with a status of ours in it lies: only a view has one. In whatever is passed on as stored, the
 * name of such a field is made another one of the same length, so that no size changes and nothing has to be moved.
 *
 * `header` is a header or a part of one. Returns the same buffer when there is nothing to do, which is nearly always;
 * otherwise a copy.
 */
export function withoutForgedStatus(header: Buffer, names: ViewNames): Buffer {
  if (!header.toString('latin1').toLowerCase().includes(names.installationId)) return header;
  const copy = Buffer.from(header);
  const status = names.statusField.toLowerCase();
  for (const start of lineStarts(copy)) {
    const line = copy.toString('latin1', start, start + 64).toLowerCase();
    if (line.startsWith(`${status}:`) || line.startsWith(`${status} `) || line.startsWith(`${status}\t`)) {
      copy[start] = 'Z'.charCodeAt(0);
    } else if (line.startsWith('authentication-results') && fieldNamesUs(copy, start, names)) {
      copy[start] = 'X'.charCodeAt(0);
    }
  }
  return copy;
}

/** Also after a lone CR or LF: some readers begin a field there. */
function* lineStarts(octets: Buffer): Generator<number> {
  yield 0;
  for (let i = 0; i < octets.length; i++) {
    const octet = octets[i];
    if (octet === 0x0a || (octet === 0x0d && octets[i + 1] !== 0x0a)) yield i + 1;
  }
}

/** Whether the field that begins at `start`, continuation lines included, holds our id anywhere. */
function fieldNamesUs(octets: Buffer, start: number, names: ViewNames): boolean {
  let end = start;
  do {
    end = lineAfter(octets, end, octets.length);
  } while (end < octets.length && (octets[end] === 0x20 || octets[end] === 0x09));
  return octets.toString('latin1', start, end).toLowerCase().includes(names.installationId);
}
