import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/**
 * The wire between a card and the driver vpcd: frames of a length (two octets, big endian) and so many octets, both ways.
 *
 * The driver writes the length and the rest apart, and its kernel keeps the rest back until the length is acknowledged, which
 * the kernel here would put off for 40 ms. An octet on its way back acknowledges at once. So the first octet of each frame
 * to the driver, always 0, goes ahead as soon as a length has come in.
 */
export class VpcdConnection {
  readonly #socket: Socket;
  #input: Buffer = Buffer.alloc(0);
  /** The first octet of the next frame is on its way already. */
  #begun = false;

  /** @param failed called when the driver is not there */
  constructor(port: number, receive: (frame: Buffer) => void, failed: (error: Error) => void) {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true, allowHalfOpen: true });
    this.#socket = socket;
    socket.on('data', (octets: Buffer) => {
      this.#input = Buffer.concat([this.#input, octets]);
      if (this.#input.length === LENGTH_OCTETS) this.#begin();
      for (let frame = this.#frame(); frame !== null; frame = this.#frame()) receive(frame);
    });
    // The driver lets go of a card that does not answer, and at its own end.
    socket.on('end', () => socket.destroy());
    socket.on('error', (error) => {
      socket.destroy();
      failed(error);
    });
  }

  /** @param octets 1 to 255 */
  send(octets: Buffer): void {
    if (octets.length === 0 || octets.length > MOST_OCTETS)
      throw new Error(`a frame of ${octets.length} octets`);
    this.#socket.write(
      Buffer.concat([Buffer.from(this.#begun ? [] : [0]), Buffer.of(octets.length), octets]),
    );
    this.#begun = false;
  }

  /** Settles when the driver has noticed. */
  async end(): Promise<void> {
    if (this.#socket.closed) return;
    // A frame that ends after its first octet is one the driver does not expect; one without content means "gone".
    this.#socket.end(Buffer.from(this.#begun ? [0] : []));
    await once(this.#socket, 'close');
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #begin(): void {
    if (this.#begun || this.#socket.writableEnded) return;
    this.#socket.write(Buffer.of(0));
    this.#begun = true;
  }

  #frame(): Buffer | null {
    if (this.#input.length < LENGTH_OCTETS) return null;
    const end = LENGTH_OCTETS + this.#input.readUInt16BE(0);
    if (this.#input.length < end) return null;
    const frame = this.#input.subarray(LENGTH_OCTETS, end);
    this.#input = this.#input.subarray(end);
    return frame;
  }
}

const LENGTH_OCTETS = 2;
const MOST_OCTETS = 255;
