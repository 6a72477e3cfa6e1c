import { limits } from '../limits.ts';
import { HeaderEnd } from '../mail-view/header-end.ts';
import { classifyHeader, type MessageClass } from '../mail-view/message-class.ts';
import { Unstuffing } from './byte-stuffing.ts';
import type { Question } from './upstream-side.ts';

type Piece = { raw: Buffer; plain: Buffer };

/** A message that the mail server has begun to send, of which the header has been looked at. Each octet is given once. */
export class ArrivingMessage {
  /** The fields and the empty line, or what there is of them within the limit. */
  readonly header: Buffer;
  readonly #question: Question;
  readonly #unstuffing: Unstuffing;
  #seen: Piece[];
  #ended: boolean;

  private constructor(
    question: Question,
    unstuffing: Unstuffing,
    seen: { header: Buffer; pieces: Piece[]; ended: boolean },
  ) {
    this.#question = question;
    this.#unstuffing = unstuffing;
    this.header = seen.header;
    this.#seen = seen.pieces;
    this.#ended = seen.ended;
  }

  /** Reads up to the end of the header. Throws what `Question.body` throws. */
  static async begin(question: Question): Promise<ArrivingMessage> {
    const unstuffing = new Unstuffing();
    const pieces: Piece[] = [];
    const headerEnd = new HeaderEnd();
    let octets = 0;
    let end = -1;
    let ended = false;
    while (end === -1 && octets <= limits.mail.headerOctets) {
      const raw = await question.body();
      if (raw === 'end') {
        ended = true;
        break;
      }
      const plain = unstuffing.update(raw);
      pieces.push({ raw, plain });
      const at = headerEnd.in(plain);
      if (at !== -1) end = octets + at;
      octets += plain.length;
    }
    const all = Buffer.concat(pieces.map(({ plain }) => plain));
    const header = end === -1 ? all : all.subarray(0, end);
    return new ArrivingMessage(question, unstuffing, { header, pieces, ended });
  }

  /** `none` for a header that is larger than any of which a view is made: TOP and RETR both see that, and it passes as it is stored. */
  get messageClass(): MessageClass {
    return this.header.length > limits.mail.headerOctets ? 'none' : classifyHeader(this.header);
  }

  /** What was not given yet, as it comes: byte-stuffed. */
  async *raw(): AsyncIterable<Buffer> {
    for (let piece = this.#seen.shift(); piece !== undefined; piece = this.#seen.shift()) yield piece.raw;
    while (!this.#ended) {
      const raw = await this.#question.body();
      if (raw === 'end') this.#ended = true;
      else yield raw;
    }
  }

  /** What was not given yet, without byte-stuffing. */
  async *plain(): AsyncIterable<Buffer> {
    for (let piece = this.#seen.shift(); piece !== undefined; piece = this.#seen.shift()) yield piece.plain;
    for await (const raw of this.raw()) yield this.#unstuffing.update(raw);
  }

  /** Reads the rest for nobody. */
  async drain(): Promise<void> {
    this.#seen = [];
    while (!this.#ended) this.#ended = (await this.#question.body()) === 'end';
  }
}
