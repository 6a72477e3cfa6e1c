import type { Readable, Writable } from 'node:stream';

/**
 * The client's side of the Assuan protocol, as far as a pinentry speaks it: one command, one answer, lines of up to 1,000 octets.
 * What comes may be a secret: it is never a string, and every buffer it passed through is overwritten.
 */

/** `data`: what D lines brought, decoded; whoever gets it overwrites it. */
export type AssuanAnswer =
  | { kind: 'ok'; data: Buffer; status: readonly string[] }
  /** `code`: number of libgpg-error, its source in the upper octet. */
  | { kind: 'error'; code: number };

/** The other side broke the protocol or is gone. Its message says how, and nothing of what came. */
export class AssuanFault extends Error {
  override readonly name = 'AssuanFault';
}

/** Octets of a line, without its line feed. */
const LONGEST_LINE = 1_000;
/** Octets of one answer's data; a PIN or password is shorter. */
const LONGEST_DATA = 4_096;
/** Lines that belong to one answer. */
const MOST_LINES = 100;

export class AssuanClient {
  readonly #commands: Writable;
  readonly #line = Buffer.alloc(LONGEST_LINE);
  #lineOctets = 0;
  readonly #data = Buffer.alloc(LONGEST_DATA);
  #dataOctets = 0;
  #lines = 0;
  #status: string[] = [];
  #waiting: PromiseWithResolvers<AssuanAnswer> | null = null;
  /** The answer that came before anybody waited: the greeting. */
  #early: AssuanAnswer | null = null;
  #fault: AssuanFault | null = null;

  constructor(commands: Writable, answers: Readable) {
    this.#commands = commands;
    commands.on('error', () => this.#fail('it takes no more commands'));
    answers.on('error', () => this.#fail('its answers cannot be read'));
    answers.on('close', () => this.#fail('it ended without an answer'));
    answers.on('data', (chunk: Buffer) => {
      this.#take(chunk);
      chunk.fill(0);
    });
  }

  /** What the other side says at the beginning. @throws AssuanFault */
  greeting(): Promise<AssuanAnswer> {
    return this.#answer();
  }

  /** @param command one line, written with `encodeArgument` where anything in it is not ours. @throws AssuanFault */
  send(command: string): Promise<AssuanAnswer> {
    if (Buffer.byteLength(command) > LONGEST_LINE || /[\r\n]/.test(command)) {
      throw new Error('this is not one line of Assuan');
    }
    if (this.#early !== null) this.#fail('it answers unasked');
    const answer = this.#answer();
    if (this.#fault === null) this.#commands.write(`${command}\n`);
    return answer;
  }

  /** Overwrites what may still be here. */
  close(): void {
    this.#fail('it is not talked to any more');
  }

  #answer(): Promise<AssuanAnswer> {
    if (this.#fault !== null) return Promise.reject(this.#fault);
    const early = this.#early;
    this.#early = null;
    if (early !== null) return Promise.resolve(early);
    this.#waiting = Promise.withResolvers<AssuanAnswer>();
    return this.#waiting.promise;
  }

  #take(chunk: Buffer): void {
    let from = 0;
    while (this.#fault === null && from < chunk.length) {
      const end = chunk.indexOf(0x0a, from);
      const part = chunk.subarray(from, end < 0 ? chunk.length : end);
      if (this.#lineOctets + part.length > LONGEST_LINE) {
        this.#fail('it sends a line that is too long');
        break;
      }
      part.copy(this.#line, this.#lineOctets);
      this.#lineOctets += part.length;
      if (end < 0) break;
      from = end + 1;
      const line = this.#line.subarray(0, this.#lineOctets);
      this.#lineOctets = 0;
      this.#readLine(line);
      this.#line.fill(0);
    }
  }

  #readLine(line: Buffer): void {
    this.#lines++;
    if (this.#lines > MOST_LINES) {
      this.#fail('it sends more lines than an answer has');
      return;
    }
    if (line[0] === 0x44 && line[1] === 0x20) {
      this.#readData(line.subarray(2));
      return;
    }
    // No secret is in any other line.
    const text = line.toString('latin1');
    const [, code] = /^ERR (\d{1,10})(?: |$)/.exec(text) ?? [];
    if (code !== undefined) this.#done({ kind: 'error', code: Number(code) });
    else if (/^OK(?: |$)/.test(text)) {
      const data = Buffer.allocUnsafeSlow(this.#dataOctets);
      this.#data.copy(data, 0, 0, this.#dataOctets);
      this.#done({ kind: 'ok', data, status: this.#status });
    } else if (text.startsWith('S ')) this.#status.push(text.slice(2));
    else if (!text.startsWith('#')) this.#fail('it answers with something that is not Assuan');
  }

  #readData(encoded: Buffer): void {
    for (let i = 0; i < encoded.length && this.#fault === null; i++) {
      let octet = encoded[i] ?? 0;
      if (octet === 0x25) {
        octet = hexDigit(encoded[i + 1]) * 16 + hexDigit(encoded[i + 2]);
        i += 2;
      }
      if (Number.isNaN(octet)) this.#fail('it sends a % without two hexadecimal digits');
      else if (this.#dataOctets === LONGEST_DATA) this.#fail('it sends more than a PIN or password has');
      else this.#data[this.#dataOctets++] = octet;
    }
  }

  #done(answer: AssuanAnswer): void {
    this.#forget();
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting !== null) waiting.resolve(answer);
    else if (this.#early === null) this.#early = answer;
    else this.#fail('it answers unasked');
  }

  #forget(): void {
    this.#data.fill(0);
    this.#dataOctets = 0;
    this.#lines = 0;
    this.#status = [];
  }

  #fail(how: string): void {
    this.#forget();
    this.#line.fill(0);
    if (this.#early?.kind === 'ok') this.#early.data.fill(0);
    this.#early = null;
    this.#fault ??= new AssuanFault(how);
    this.#waiting?.reject(this.#fault);
    this.#waiting = null;
  }
}

/** For whatever follows a command's name: one line, whatever is in it. */
export function encodeArgument(text: string): string {
  return text.replace(/[%\p{Cc}]/gu, (character) =>
    [...Buffer.from(character)]
      .map((octet) => `%${octet.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}

/** NaN: none. By arithmetic, so that no secret becomes a string. */
function hexDigit(octet: number | undefined): number {
  if (octet === undefined) return Number.NaN;
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  const letter = octet | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : Number.NaN;
}
