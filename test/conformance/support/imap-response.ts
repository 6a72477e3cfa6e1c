/**
 * RFC 9051 §9, as a client reads it that believes nothing: written for the tests alone, so that what the gateway writes is
 * judged by another reader than its own.
 */

/** Atoms are strings, quoted strings and literals Buffers, NIL is null. */
export type Value = string | Buffer | null | Value[];

export type Response = {
  /** `*`, `+`, or the tag of a command. */
  tag: string;
  /** All of it, line end included. */
  octets: Buffer;
  /** What stands behind the tag; literals as `{n}`. */
  text: string;
};

export type Fetched = {
  msn: number;
  /** Labels in capitals as the response has them: `BODY[HEADER.FIELDS (SUBJECT)]<0>`. */
  items: ReadonlyMap<string, Value>;
};

const CR = 13;
const LF = 10;

/** Cuts a stream of octets into responses. */
export class ResponseReader {
  #chunks: Buffer[] = [];
  #length = 0;
  /** How many octets have to be there before it is worth looking again. */
  #wanted = 1;
  /** Where the part of the response begins in which a line end is looked for. */
  #from = 0;
  #text = '';

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** Octets that are no whole response yet. */
  get unfinished(): Buffer {
    return this.#joined();
  }

  /** null: not all of it is there yet. */
  next(): Response | null {
    if (this.#length < this.#wanted) return null;
    const octets = this.#joined();
    for (;;) {
      const end = octets.indexOf(LF, this.#from);
      if (end === -1) {
        this.#wanted = octets.length + 1;
        return null;
      }
      if (octets[end - 1] !== CR) throw new Error('a line of the server ends with a lone LF');
      const line = octets.toString('latin1', this.#from, end - 1);
      this.#text += line;
      const size = isStatus(this.#text) ? null : /\{([0-9]+)\}$/.exec(line)?.[1];
      const begin = end + 1;
      if (size === null || size === undefined) {
        const taken = octets.subarray(0, begin);
        const rest = octets.subarray(begin);
        this.#chunks = rest.length === 0 ? [] : [rest];
        this.#length = rest.length;
        const space = this.#text.indexOf(' ');
        const text = this.#text;
        this.#from = 0;
        this.#text = '';
        this.#wanted = 1;
        return { tag: text.slice(0, space), text: text.slice(space + 1), octets: taken };
      }
      this.#from = begin + Number(size);
      if (octets.length < this.#from + 1) {
        this.#wanted = this.#from + 1;
        return null;
      }
    }
  }

  #joined(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }
}

/** RFC 9051 §7.1: the text of a status response ends at the line end, whatever it looks like. */
function isStatus(line: string): boolean {
  return /^\+|^\* (?:OK|NO|BAD|BYE|PREAUTH)(?: |$)|^[^*][^ ]* (?:OK|NO|BAD)(?: |$)/.test(line);
}

/** null: it is no FETCH response. */
export function fetched(response: Response): Fetched | null {
  const head = /^\* ([0-9]+) FETCH \(/.exec(response.octets.toString('latin1', 0, 40));
  if (head === null) return null;
  const reader = new ValueReader(response.octets, head[0].length);
  const items = new Map<string, Value>();
  while (!reader.skip(')')) {
    const label = reader.label();
    reader.expect(' ');
    if (items.has(label)) throw new Error(`${label} twice in one response`);
    items.set(label, reader.value());
    if (!reader.skip(' ') && !reader.at(')')) throw new Error(`no blank behind ${label}`);
  }
  reader.expect('\r\n');
  return { msn: Number(head[1]), items };
}

/** What stands behind `label`, as in `* ESEARCH …`. */
export function valuesOf(response: Response): Value[] {
  const reader = new ValueReader(response.octets, response.tag.length + 1);
  const values: Value[] = [];
  while (!reader.skip('\r\n')) {
    values.push(reader.value());
    reader.skip(' ');
  }
  return values;
}

class ValueReader {
  readonly #octets: Buffer;
  #at: number;

  constructor(octets: Buffer, at: number) {
    this.#octets = octets;
    this.#at = at;
  }

  at(text: string): boolean {
    return this.#octets.toString('latin1', this.#at, this.#at + text.length) === text;
  }

  skip(text: string): boolean {
    if (!this.at(text)) return false;
    this.#at += text.length;
    return true;
  }

  expect(text: string): void {
    if (this.skip(text)) return;
    const around = this.#octets.toString('latin1', Math.max(0, this.#at - 60), this.#at + 40);
    throw new Error(`no ${JSON.stringify(text)} at ${this.#at} of ${JSON.stringify(around)}`);
  }

  /** The name of a FETCH item, blanks inside brackets included. */
  label(): string {
    const found = /^[^ ()[\]]+(?:\[[^\]]*\])?(?:<[0-9]+>)?/.exec(this.#ahead());
    if (found === null) throw new Error(`no item at ${this.#ahead().slice(0, 60)}`);
    this.#at += found[0].length;
    return found[0].toUpperCase();
  }

  value(): Value {
    if (this.skip('(')) {
      const list: Value[] = [];
      while (!this.skip(')')) {
        list.push(this.value());
        // Bodies of a multipart stand without a blank between them (RFC 9051 §9, body-type-mpart).
        this.skip(' ');
      }
      return list;
    }
    const literal = /^\{([0-9]+)\}\r\n/.exec(this.#ahead(40));
    if (literal !== null) {
      const begin = this.#at + literal[0].length;
      this.#at = begin + Number(literal[1]);
      if (this.#at > this.#octets.length) throw new Error('a literal is shorter than announced');
      return this.#octets.subarray(begin, this.#at);
    }
    if (this.skip('"')) return this.#quoted();
    const atom = /^[^ ()\r\n"]+/.exec(this.#ahead());
    if (atom === null) throw new Error(`no value at ${JSON.stringify(this.#ahead(60))}`);
    this.#at += atom[0].length;
    return atom[0].toUpperCase() === 'NIL' ? null : atom[0];
  }

  #quoted(): Buffer {
    const octets: number[] = [];
    for (;;) {
      const octet = this.#octets[this.#at++];
      if (octet === undefined || octet === CR || octet === LF || octet === 0)
        throw new Error('a quoted string does not end');
      if (octet === 0x22) return Buffer.from(octets);
      const next = this.#octets[this.#at];
      if (octet === 0x5c && next !== undefined) {
        octets.push(next);
        this.#at++;
      } else octets.push(octet);
    }
  }

  #ahead(octets = 2_000): string {
    return this.#octets.toString('latin1', this.#at, this.#at + octets);
  }
}

/** @throws Error where it is neither a quoted string nor a literal */
export function octetsOf(value: Value | undefined): Buffer {
  if (Buffer.isBuffer(value)) return value;
  throw new Error(`no string: ${String(value)}`);
}
