import type { Socket } from 'node:net';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { connect, createSecureContext, TLSSocket } from 'node:tls';
import { constants, createDeflateRaw, createInflateRaw } from 'node:zlib';
import type { TlsMaterial } from '../../support/certificate.ts';

/** Pieces in which octets leave, one after the other. */
export type Cutting = { pieces(octets: Buffer): Iterable<Buffer>; between(): Promise<unknown> };

/**
 * A connection on which TLS and DEFLATE can be laid while it is used. Nothing may be on its way towards it then.
 *
 * `peer`: whose part it plays in a handshake.
 */
export class LayeredSocket extends Duplex {
  readonly raw: Socket;
  readonly #peer: 'client' | 'server';
  #top: Duplex;
  /** Under what is deflated. */
  #carrier: Duplex | null = null;

  constructor(raw: Socket, peer: 'client' | 'server', cutting: Cutting | null = null) {
    super({ allowHalfOpen: true });
    this.raw = raw;
    this.#peer = peer;
    raw.on('error', () => undefined);
    this.#top = cutting === null ? raw : new CutSocket(raw, cutting);
    this.#listen();
    this.#endsWith(this.#top);
  }

  /** From here on everything is encrypted. */
  startTls({ cert, key }: TlsMaterial): void {
    const under = this.#leave();
    const top =
      this.#peer === 'client'
        ? connect({ socket: under as Socket, servername: 'localhost', ca: cert })
        : new TLSSocket(under as Socket, {
            isServer: true,
            secureContext: createSecureContext({ cert, key }),
          });
    this.#enter(top);
    this.#endsWith(top);
  }

  /** From here on everything is deflated, as another program would do it: with zlib's own settings. */
  deflate(): void {
    const under = this.#leave();
    const out = createDeflateRaw({ flush: constants.Z_SYNC_FLUSH });
    const into = createInflateRaw({ finishFlush: constants.Z_SYNC_FLUSH });
    for (const each of [out, into]) each.on('error', () => this.destroy());
    under.pipe(into);
    out.pipe(under);
    this.#enter(new Joined(into, out));
  }

  resetAndDestroy(): void {
    this.raw.resetAndDestroy();
  }

  /** As somebody would who cannot speak for the peer: without a last word of any layer. */
  cut(): void {
    this.raw.end();
  }

  override _read(): void {
    // What comes is pushed.
  }

  /** Not waited for: what is written now goes through what is there now. */
  override _write(octets: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#top.write(octets);
    done();
  }

  override _final(done: () => void): void {
    this.#top.end();
    done();
  }

  override _destroy(_error: Error | null, done: () => void): void {
    this.raw.destroy();
    done();
  }

  /** What came before an orderly end is still to be taken off the layers above. */
  #endsWith(carrier: Duplex): void {
    this.#carrier = carrier;
    carrier.on('close', () => {
      if (this.#carrier === carrier && !carrier.readableEnded) this.destroy();
    });
  }

  readonly #onData = (octets: Buffer): void => void this.push(octets);
  readonly #onEnd = (): void => void this.push(null);

  #listen(): void {
    this.#top.on('data', this.#onData);
    this.#top.on('end', this.#onEnd);
    this.#top.on('error', () => undefined);
  }

  #leave(): Duplex {
    this.#top.off('data', this.#onData);
    this.#top.off('end', this.#onEnd);
    return this.#top;
  }

  #enter(top: Duplex): void {
    this.#top = top;
    this.#listen();
  }
}

/** Two halves as one. */
class Joined extends Duplex {
  readonly #out: Writable;

  constructor(into: Readable, out: Writable) {
    super({ allowHalfOpen: true });
    this.#out = out;
    into.on('data', (octets: Buffer) => void this.push(octets));
    into.on('end', () => void this.push(null));
  }

  override _read(): void {
    // What comes is pushed.
  }

  override _write(octets: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#out.write(octets);
    done();
  }

  override _final(done: () => void): void {
    this.#out.end();
    done();
  }
}

/** What is written leaves in pieces. */
class CutSocket extends Duplex {
  readonly #raw: Socket;
  readonly #cutting: Cutting;

  constructor(raw: Socket, cutting: Cutting) {
    super({ allowHalfOpen: true });
    this.#raw = raw;
    this.#cutting = cutting;
    raw.on('data', (octets: Buffer) => void this.push(octets));
    raw.on('end', () => void this.push(null));
    raw.on('close', () => void (raw.readableEnded || this.destroy()));
  }

  override _read(): void {
    // What comes is pushed.
  }

  override _write(octets: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    void this.#send(octets).then(() => done());
  }

  override _final(done: () => void): void {
    this.#raw.end();
    done();
  }

  async #send(octets: Buffer): Promise<void> {
    for (const piece of this.#cutting.pieces(octets)) {
      if (this.#raw.destroyed || this.#raw.writableEnded) return;
      this.#raw.write(piece);
      await this.#cutting.between();
    }
  }
}
