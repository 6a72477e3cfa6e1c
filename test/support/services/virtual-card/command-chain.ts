import { type CommandApdu, encodeResponse, parseCommand, type ResponseApdu, statusWord } from './apdu.ts';

/**
 * Commands too long for one APDU come in parts (bit 5 of the class octet), responses too long for one leave in parts
 * (61 XX, GET RESPONSE): ISO/IEC 7816-4, SP 800-73-4 part 2. A command handler sees whole commands only.
 */
export class CommandChain {
  readonly #perform: (command: CommandApdu) => ResponseApdu;
  #parts: { head: CommandApdu; data: Buffer[] } | null = null;
  /** What is left of the last response. */
  #rest: ResponseApdu | null = null;

  constructor(perform: (command: CommandApdu) => ResponseApdu) {
    this.#perform = perform;
  }

  /** Reset and removal forget everything that was under way. */
  forget(): void {
    this.#parts = null;
    this.#rest = null;
  }

  transmit(octets: Buffer): Buffer {
    const command = parseCommand(octets);
    if (command === null) return status(statusWord.wrongLength);
    if (command.cla !== 0) return status(statusWord.classNotSupported);
    if (command.ins === GET_RESPONSE) return this.#next(command.expected);
    this.#rest = null;
    const whole = this.#collect(command);
    if (typeof whole === 'number') return status(whole);
    const response = this.#perform(whole);
    if (response.data.length === 0) return encodeResponse(response);
    this.#rest = response;
    // A sender that expects nothing is told how much there is.
    return command.expected === 0 ? this.#remaining() : this.#next(command.expected);
  }

  #collect(command: CommandApdu): CommandApdu | number {
    const parts = this.#parts;
    this.#parts = null;
    if (parts !== null && !sameCommand(parts.head, command)) {
      return statusWord.lastCommandOfChainExpected;
    }
    const data = [...(parts?.data ?? []), command.data];
    if (data.reduce((sum, part) => sum + part.length, 0) > LONGEST) return statusWord.wrongLength;
    if (!command.chained) return { ...command, data: Buffer.concat(data) };
    this.#parts = { head: command, data };
    return statusWord.ok;
  }

  #next(wanted: number): Buffer {
    if (this.#rest === null) return status(statusWord.conditionsNotSatisfied);
    const { data, status: last } = this.#rest;
    const expected = Math.min(wanted, MOST_AT_ONCE);
    if (data.length <= expected) {
      this.#rest = null;
      return encodeResponse({ data, status: last });
    }
    this.#rest = { data: data.subarray(expected), status: last };
    return Buffer.concat([data.subarray(0, expected), this.#remaining()]);
  }

  /** 61 XX; XX is 00 for 256 and more. */
  #remaining(): Buffer {
    const left = this.#rest?.data.length ?? 0;
    return Buffer.from([0x61, left > 0xff ? 0 : left]);
  }
}

const GET_RESPONSE = 0xc0;
/** With the status word it is what a frame of the reader's wire holds. */
const MOST_AT_ONCE = 253;
/** No command of a PIV card is longer. */
const LONGEST = 4_096;

function sameCommand(first: CommandApdu, next: CommandApdu): boolean {
  return first.ins === next.ins && first.p1 === next.p1 && first.p2 === next.p2;
}

function status(word: number): Buffer {
  return encodeResponse({ data: Buffer.alloc(0), status: word });
}
