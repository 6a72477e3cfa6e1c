import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { tlsContext } from '../../../src/connections/tls-context.ts';
import type { Event } from '../../../src/log/events.ts';
import { type LdapListenerOptions, startLdapListener } from '../../../src/publishing/ldap/listener.ts';
import type { PublishedPeople } from '../../../src/publishing/published-people.ts';
import { certificateFor as tlsCertificateFor } from '../../support/certificate.ts';

export const BASE = 'dc=example,dc=org';

/** A server on a free port of 127.0.0.1, with a certificate for both of its names. */
export async function served(people: PublishedPeople, changed: Partial<LdapListenerOptions> = {}) {
  const material = tlsCertificateFor('localhost', '127.0.0.1');
  const events: Event[] = [];
  const listener = await startLdapListener({
    ...{ name: 'ldap', host: '127.0.0.1', port: 0, tls: 'starttls', allowPlaintext: true, base: BASE },
    ...{ naming: { letters: 3 }, maxResults: 25, entriesPerHour: 1_000, people },
    ...{ maxConnections: 100, maxConnectionsPerAddress: 100, unlimitedNetworks: ['127.0.0.1'] },
    ...{ proxyProtocolFrom: [], secureContext: tlsContext(material, false) },
    log: { write: (event) => void events.push(event) },
    ...changed,
  });
  return {
    ...{ port: listener.port, caFile: material.file, events },
    async stop() {
      await listener.close();
      material.remove();
    },
  };
}

/** One connection, octet by octet. */
export class RawClient {
  #socket: Socket;
  #octets: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => undefined;

  constructor(port: number) {
    this.#socket = this.#read(connect(port, '127.0.0.1'));
  }

  #read<S extends Socket>(socket: S): S {
    socket.on('data', (piece: Buffer) => {
      this.#octets = Buffer.concat([this.#octets, piece]);
      this.#wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
    return socket;
  }

  send(...messages: Buffer[]): this {
    this.#socket.write(Buffer.concat(messages));
    return this;
  }

  /** The next message, hexadecimal; null: the server has ended. */
  async next(): Promise<string | null> {
    for (;;) {
      const length = this.#length();
      if (length !== null) {
        const message = this.#octets.subarray(0, length);
        this.#octets = this.#octets.subarray(length);
        return message.toString('hex');
      }
      if (this.#ended) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async begunTls(): Promise<this> {
    this.#socket.removeAllListeners();
    const secure = this.#read(connectTls({ socket: this.#socket, rejectUnauthorized: false }));
    await new Promise((resolve) => secure.once('secureConnect', resolve));
    this.#socket = secure;
    return this;
  }

  close(): void {
    this.#socket.destroy();
  }

  #length(): number | null {
    const [, first] = this.#octets;
    if (first === undefined) return null;
    const count = first < 0x80 ? 0 : first & 0x7f;
    if (this.#octets.length < 2 + count) return null;
    const length = 2 + count + (count === 0 ? first : this.#octets.readUIntBE(2, count));
    return length <= this.#octets.length ? length : null;
  }
}

/** The result code of an answer. */
export function codeOf(answer: string | null): number | null {
  if (answer === null) return null;
  const octets = Buffer.from(answer, 'hex');
  const at = octets.indexOf(Buffer.from([0x0a, 0x01]));
  return at < 0 ? null : (octets[at + 2] ?? null);
}
