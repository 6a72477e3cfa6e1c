import type { ViewNames } from './view-names.ts';

/**
 * A message that arrives with a status of ours in it lies: only a view has one. In whatever is passed on as stored, our
 * id in such a field is made another one of the same length, so that no size changes and nothing has to be moved.
 *
 * `header` is a header or a part of one that begins with a field. Returns the same buffer when there is nothing to do,
 * which is nearly always; otherwise a copy.
 */
export function withoutForgedStatus(header: Buffer, names: ViewNames): Buffer {
  return mayHoldForgery(header, names) ? new HeaderCleaner(names).clean(header) : header;
}

/** false: nothing in these octets can be a forged status. Nearly always, and told at once. */
export function mayHoldForgery(octets: Buffer, { installationId }: ViewNames): boolean {
  const text = octets.toString('latin1');
  return (text.includes('\\') ? text.replaceAll('\\', '') : text).toLowerCase().includes(installationId);
}

/** What the field is that an octet belongs to. */
type FieldKind = 'name' | 'result' | 'other';

const LF = 0x0a;
const CR = 0x0d;
const BACKSLASH = 0x5c;
const HYPHEN = 0x2d;
/** The longest name that matters has fewer characters. */
const NAME_CHARS = 64;

/**
 * The same for a header that comes in pieces, cut anywhere. What is changed is always the octet that completes the id,
 * so that nothing has to be held back, and a piece that has left is never regretted.
 */
export class HeaderCleaner {
  readonly #id: string;
  readonly #statusName: string;
  #kind: FieldKind = 'name';
  #name = '';
  /** The last octets of a result, quoted pairs resolved. */
  #window = '';
  /** The octet before was a CR: a line end if no LF follows, for some readers. */
  #afterCr = false;
  #lineStart = true;
  /** Octets since the last LF, up to 2: the empty line ends the header for everybody. */
  #sinceLf = 0;
  #ended = false;

  constructor({ installationId }: ViewNames) {
    this.#id = installationId;
    this.#statusName = `x-sealgate-${installationId}`;
  }

  /** The empty line has come. */
  get ended(): boolean {
    return this.#ended;
  }

  clean(octets: Buffer): Buffer {
    let result = octets;
    for (let i = 0; i < octets.length && !this.#ended; i++) {
      if (!this.#completesForgery(octets[i] ?? 0)) continue;
      if (result === octets) result = Buffer.from(octets);
      result[i] = HYPHEN;
    }
    return result;
  }

  #completesForgery(octet: number): boolean {
    if (octet === LF) {
      this.#ended = this.#sinceLf === 0 || (this.#sinceLf === 1 && this.#afterCr);
      this.#sinceLf = 0;
      this.#afterCr = false;
      this.#lineStart = true;
      return false;
    }
    if (this.#afterCr) this.#lineStart = true;
    this.#afterCr = octet === CR;
    this.#sinceLf = Math.min(this.#sinceLf + 1, 2);
    if (octet === CR) return false;
    if (this.#lineStart) {
      this.#lineStart = false;
      // A blank continues the field (RFC 5322 §2.2.3).
      if (octet !== 0x20 && octet !== 0x09) {
        this.#kind = 'name';
        this.#name = '';
        this.#window = '';
      }
    }
    return this.#inField(octet);
  }

  #inField(octet: number): boolean {
    switch (this.#kind) {
      case 'other':
        return false;
      case 'name':
        if (octet === 0x3a) {
          this.#kind = this.#name.startsWith('authentication-results') ? 'result' : 'other';
          return false;
        }
        if (this.#name.length === NAME_CHARS) return false;
        this.#name += String.fromCharCode(octet).toLowerCase();
        return this.#name === this.#statusName;
      case 'result':
        // authserv-id may be a quoted-string (RFC 8601 §2.2), in which a backslash stands for nothing.
        if (octet === BACKSLASH) return false;
        this.#window = (this.#window + String.fromCharCode(octet).toLowerCase()).slice(-this.#id.length);
        if (this.#window !== this.#id) return false;
        this.#window = '';
        return true;
    }
  }
}
