import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/**
 * One slot of a virtual reader. The driver vpcd (vsmartcard) listens on the slot's port; a card that is in the reader is a
 * connection to it. The driver sends frames of a length (two octets) and so many octets. One octet is a control message, more
 * are a command for the card:
 *
 *     00 power off   01 power on   02 reset   04 answer to reset (the only one with a response)
 *
 * The driver finds out that a card came or went when the reader is looked at, which pcscd does several times a second.
 */
export type SlotCard = {
  readonly answerToReset: Buffer;
  reset(): void;
  /** Never rejects; settles late when the card takes its time. */
  transmit(command: Buffer): Promise<Buffer>;
};

export class VpcdSlot {
  readonly #port: number;
  #connection: Socket | null = null;
  #card: SlotCard | null = null;
  #powered = Promise.withResolvers<void>();

  constructor(port: number) {
    this.#port = port;
  }

  /** Settles when the reader has seen the card and given it power. */
  async insert(card: SlotCard): Promise<void> {
    if (this.#card !== null) throw new Error('there is a card in the reader already');
    card.reset();
    this.#card = card;
    this.#powered = Promise.withResolvers<void>();
    const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true, allowHalfOpen: true });
    this.#connection = socket;
    this.#listen(socket);
    await this.#powered.promise;
  }

  /** Pulled out, even in the middle of a command, which gets no answer. Settles when the reader has noticed. */
  async remove(): Promise<void> {
    this.#card?.reset();
    this.#card = null;
    const connection = this.#connection;
    this.#connection = null;
    if (connection === null || connection.closed) return;
    connection.end();
    await once(connection, 'close');
  }

  #listen(socket: Socket): void {
    let input: Buffer = Buffer.alloc(0);
    let work = Promise.resolve();
    socket.on('data', (octets: Buffer) => {
      input = Buffer.concat([input, octets]);
      while (input.length >= 2 && input.length >= 2 + input.readUInt16BE(0)) {
        const end = 2 + input.readUInt16BE(0);
        const frame = input.subarray(2, end);
        input = input.subarray(end);
        work = work.then(() => this.#receive(socket, frame));
      }
    });
    // The driver lets go of a card that does not answer, and at its own end.
    socket.on('end', () => socket.destroy());
    socket.on('error', (error) => {
      this.#powered.reject(error);
      socket.destroy();
    });
  }

  async #receive(socket: Socket, frame: Buffer): Promise<void> {
    const card = this.#card;
    if (socket !== this.#connection) return;
    if (frame.length !== 1) {
      const response = (await card?.transmit(frame)) ?? null;
      // Whoever pulled the card out gets no answer from it any more.
      if (response !== null && card === this.#card && socket === this.#connection) send(socket, response);
      return;
    }
    switch (frame[0]) {
      case CONTROL.answerToReset:
        if (card !== null) send(socket, card.answerToReset);
        return;
      case CONTROL.on:
        card?.reset();
        if (card !== null) this.#powered.resolve();
        return;
      case CONTROL.off:
      case CONTROL.reset:
        card?.reset();
        return;
      default:
        socket.destroy();
    }
  }
}

const CONTROL = { off: 0, on: 1, reset: 2, answerToReset: 4 } as const;

function send(socket: Socket, octets: Buffer): void {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(octets.length);
  socket.write(Buffer.concat([length, octets]));
}
