/** Octets; a PIN or password is shorter. */
const LONGEST = 1_024;

/**
 * A line as it is typed on a terminal in raw mode, with what people expect of one: backspace takes a character back, Ctrl-U all of
 * them. It is in one buffer, which is overwritten.
 */
export class TypedLine {
  readonly #octets = Buffer.alloc(LONGEST);
  #length = 0;
  /** Inside of what an arrow or function key sends: behind ESC, or behind ESC [ and ESC O. */
  #escape: 'none' | 'begun' | 'sequence' = 'none';
  /** More was typed than fits. */
  overflowed = false;

  /** Whether this ended the line; what follows the end in `chunk` is nobody's. */
  take(chunk: Uint8Array): 'entered' | 'cancelled' | null {
    for (const octet of chunk) {
      if (this.#belongsToKey(octet)) continue;
      switch (octet) {
        case 0x0a:
        case 0x0d:
          return 'entered';
        case 0x03:
          return 'cancelled';
        case 0x04:
          return this.#length === 0 ? 'cancelled' : 'entered';
        case 0x08:
        case 0x7f:
          this.#eraseCharacter();
          break;
        case 0x15:
          this.wipe();
          break;
        case 0x1b:
          this.#escape = 'begun';
          break;
        default:
          if (octet >= 0x20) this.#append(octet);
      }
    }
    return null;
  }

  /** A copy, which the caller overwrites. */
  text(): Buffer {
    const text = Buffer.allocUnsafeSlow(this.#length);
    this.#octets.copy(text, 0, 0, this.#length);
    return text;
  }

  wipe(): void {
    this.#octets.fill(0);
    this.#length = 0;
    this.overflowed = false;
  }

  /** ECMA-48: ESC [, parameters, one octet from @ to ~. Control characters count for themselves. */
  #belongsToKey(octet: number): boolean {
    const before = this.#escape;
    this.#escape = 'none';
    if (before === 'none' || octet < 0x20 || octet === 0x7f) return false;
    if (before === 'begun' ? octet === 0x5b || octet === 0x4f : octet < 0x40) this.#escape = 'sequence';
    return true;
  }

  #append(octet: number): void {
    if (this.#length === LONGEST) this.overflowed = true;
    else this.#octets[this.#length++] = octet;
  }

  /** UTF-8: octets 10xxxxxx continue a character. */
  #eraseCharacter(): void {
    while (this.#length > 0) {
      const octet = this.#octets[--this.#length] ?? 0;
      this.#octets[this.#length] = 0;
      if ((octet & 0xc0) !== 0x80) return;
    }
  }
}
