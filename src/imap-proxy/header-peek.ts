import { limits } from '../limits.ts';
import { HeaderEnd } from '../mail-view/header-end.ts';

/** Collects the beginning of a message, chunk by chunk, until its header is there. Each octet is looked at once. */
export class HeaderPeek {
  readonly #chunks: Buffer[] = [];
  #length = 0;
  readonly #end = new HeaderEnd();
  readonly #limit: number;

  constructor(limit: number = limits.mail.classifiedOctets) {
    this.#limit = limit;
  }

  /**
   * The octets up to and including the empty line, and the rest; null: more is needed. Of a longer header than the limit it is as
   * much as that, and not `whole`: it says the same however the octets are cut.
   */
  push(chunk: Buffer, last: boolean): { header: Buffer; rest: Buffer; whole: boolean } | null {
    const end = this.#end.in(chunk);
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (end === -1 && !last && this.#length <= this.#limit) return null;
    const all = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    const length = end === -1 ? all.length : all.length - chunk.length + end;
    const at = Math.min(length, this.#limit);
    return { header: all.subarray(0, at), rest: all.subarray(at), whole: length <= this.#limit };
  }
}
