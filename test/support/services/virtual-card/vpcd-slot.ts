import { VpcdConnection } from './vpcd-connection.ts';

/**
 * One slot of a virtual reader. The driver vpcd (vsmartcard) listens on the slot's port; a card that is in the reader is a
 * connection to it. A frame of one octet is a control message, a longer one is a command for the card:
 *
 *     00 power off   01 power on   02 reset   04 answer to reset (the only one with a response)
 *
 * The driver finds out that a card came or went when the reader is looked at, which pcscd does several times a second.
 */
export type SlotCard = {
  readonly answerToReset: Buffer;
  reset(): void;
  /** Never rejects; settles late when the card takes its time. @returns 2 to 255 octets */
  transmit(command: Buffer): Promise<Buffer>;
};

type Inserted = {
  card: SlotCard;
  connection: VpcdConnection;
  powered: PromiseWithResolvers<void>;
  /** The frame before. */
  previous: number | null;
  /** The reader has looked for the card after it was gone, and not in the course of giving it power. */
  missed: boolean;
};

export class VpcdSlot {
  readonly #port: number;
  #inserted: Inserted | null = null;

  constructor(port: number) {
    this.#port = port;
  }

  /** Settles when the reader has seen the card and given it power. */
  async insert(card: SlotCard): Promise<void> {
    if (this.#inserted !== null) throw new Error('there is a card in the reader already');
    card.reset();
    const powered = Promise.withResolvers<void>();
    let work = Promise.resolve();
    const connection = new VpcdConnection(
      this.#port,
      (frame) => {
        this.#note(inserted, frame);
        work = work.then(() => this.#receive(inserted, frame));
      },
      powered.reject,
    );
    const inserted: Inserted = { card, connection, powered, previous: null, missed: false };
    this.#inserted = inserted;
    await powered.promise;
  }

  /** Pulled out, even in the middle of a command, which gets no answer. Settles when the reader has noticed. */
  async remove(): Promise<void> {
    const inserted = this.#inserted;
    if (inserted === null) return;
    this.#inserted = null;
    inserted.card.reset();
    await inserted.connection.end();
    // The driver may have been busy with a command, and a card that comes at once would be the same one to the reader.
    if (!inserted.missed) await this.#lookedAt();
  }

  /** Lets go of whatever is in it, without a look at the reader: it may be gone. */
  close(): void {
    this.#inserted?.connection.destroy();
    this.#inserted = null;
  }

  /** Settles when the reader has looked whether a card is there, and has found none. */
  async #lookedAt(): Promise<void> {
    const asked = Promise.withResolvers<void>();
    const connection = new VpcdConnection(this.#port, () => asked.resolve(), asked.reject);
    await asked.promise;
    await connection.end();
  }

  #note(inserted: Inserted, frame: Buffer): void {
    const { previous } = inserted;
    const control = frame.length === 1 ? (frame[0] ?? null) : null;
    const powering = previous === CONTROL.on || previous === CONTROL.reset;
    if (this.#inserted !== inserted) inserted.missed = control === CONTROL.answerToReset && !powering;
    inserted.previous = control;
  }

  async #receive(inserted: Inserted, frame: Buffer): Promise<void> {
    const { card, connection, powered } = inserted;
    if (this.#inserted !== inserted) return;
    if (frame.length !== 1) {
      const response = await card.transmit(frame);
      // Whoever pulled the card out gets no answer from it any more.
      if (this.#inserted === inserted) connection.send(response);
      return;
    }
    switch (frame[0]) {
      case CONTROL.answerToReset:
        connection.send(card.answerToReset);
        return;
      case CONTROL.on:
        card.reset();
        powered.resolve();
        return;
      case CONTROL.off:
      case CONTROL.reset:
        card.reset();
        return;
      default:
        throw new Error(`vpcd's control message ${frame[0]} is not known`);
    }
  }
}

const CONTROL = { off: 0, on: 1, reset: 2, answerToReset: 4 } as const;
