import { limits } from '../limits.ts';

/** Collects the beginning of a message, chunk by chunk, until its header is there. Each octet is looked at once. */
export class HeaderPeek {
  readonly #chunks: Buffer[] = [];
  #length = 0;
  /** Octets of the current line, counted up to 2; and whether they are a single CR. */
  #line = 0;
  #onlyCr = false;

  /** The octets up to and including the empty line, and the rest; null: more is needed. Beyond the limit all is header. */
  push(chunk: Buffer, last: boolean): { header: Buffer; rest: Buffer } | null {
    const end = this.#headerEnd(chunk);
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (end === -1 && !last && this.#length < limits.mail.headerOctets) return null;
    const all = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    const at = end === -1 ? all.length : all.length - chunk.length + end;
    return { header: all.subarray(0, at), rest: all.subarray(at) };
  }

  #headerEnd(chunk: Buffer): number {
    for (let i = 0; i < chunk.length; i++) {
      const octet = chunk[i];
      if (octet === 0x0a) {
        if (this.#line === 0 || this.#onlyCr) return i + 1;
        this.#line = 0;
        this.#onlyCr = false;
      } else {
        this.#onlyCr = this.#line === 0 && octet === 0x0d;
        this.#line = Math.min(this.#line + 1, 2);
      }
    }
    return -1;
  }
}
