import { createHash } from 'node:crypto';
import { SealgateError } from '../errors.ts';

/** RFC 1939 §7: one to 70 printable octets. */
const LONGEST = 70;
/** RFC 1939 §3: a response has 512 octets at most. */
const LINE_OCTETS = 1_024;

/**
 * The unique id that clients are told of a message, another one in each epoch, so that they download it again; 0: the mail server's own.
 * Two messages have the same one if they have it on the mail server.
 */
export function toldUidl(uidl: string, epoch: number): string {
  if (epoch === 0) return uidl;
  const suffix = `.e${epoch}`;
  if (uidl.length + suffix.length <= LONGEST) return uidl + suffix;
  return createHash('sha256').update(uidl, 'latin1').digest('base64url') + suffix;
}

/** `number unique-id`, with what stands before it; what is something else stays. */
export function toldLine(line: string, epoch: number): string {
  const found = /^((?:\+OK +)?[0-9]{1,10} +)([^ ]+)( *)$/i.exec(line);
  return found === null ? line : `${found[1]}${toldUidl(found[2] ?? '', epoch)}${found[3]}`;
}

/** The lines of a listing that comes in pieces, as clients are told them. */
export class ToldListing {
  readonly #epoch: number;
  #begun = '';

  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  /** The whole lines. @throws SealgateError `upstream.pop3` for one that does not end */
  add(piece: Buffer): Buffer {
    const lines = (this.#begun + piece.toString('latin1')).split('\r\n');
    this.#begun = lines.pop() ?? '';
    if (this.#begun.length > LINE_OCTETS) throw tooLong();
    return Buffer.from(lines.map((line) => `${toldLine(line, this.#epoch)}\r\n`).join(''), 'latin1');
  }
}

function tooLong(): SealgateError {
  return new SealgateError({
    code: 'upstream.pop3',
    publicText: 'The mail server was not understood. Connect again.',
    duration: 'temporary',
    reason: 'a line of UIDL that is too long',
  });
}
