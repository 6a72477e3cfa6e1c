/** Octets; a PIN or password is shorter. */
const LONGEST = 1_024;

/**
 * A line as it is typed on a terminal in raw mode, with what people expect of one: backspace takes a character back, Ctrl-U all of
 * them. It is in one buffer, which is overwritten.
 */
export class TypedLine {
  readonly #octets = Buffer.alloc(LONGEST);
  #length = 0;
  /** More was typed than fits. */
  overflowed = false;

  /** Whether this ended the line; what follows the end in `chunk` is nobody's. */
  take(chunk: Uint8Array): 'entered' | 'cancelled' | null {
    for (const octet of chunk) {
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
          // An arrow or function key: the rest of the chunk belongs to it.
          return null;
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
