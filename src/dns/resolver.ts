import { randomInt } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { SealgateError } from '../errors.ts';
import { printable } from '../log/printable.ts';
import { type DnsAnswer, type DnsQuestion, dnsQuestion, dnsUnanswered, readDnsAnswer } from './message.ts';

/** A resolver whose word on DNSSEC is believed. */
export type DnsServer = {
  /** `host:port`, for people. */
  name: string;
  /** IP address. */
  host: string;
  port: number;
};

/** A question that every resolver answers at once from what it has itself, whatever else it waits for (RFC 6303 §4.2): an SOA record. */
const IS_IT_THERE: DnsQuestion = { name: '127.in-addr.arpa', type: 6 };

/**
 * Asks resolvers one after the other, by TCP alone (RFC 7766: every one speaks it, certificates are too long for UDP, and nobody off the
 * way can answer in their place): one connection for each question. The time that is left is shared among those that have not been tried.
 */
export class DnsResolver {
  readonly #servers: readonly DnsServer[];
  readonly #timeoutMs: number;
  /** Who gave the last answer. */
  #best = 0;

  constructor(servers: readonly DnsServer[], timeoutMs: number) {
    this.#servers = servers;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * @throws SealgateError (temporary) `dns.unanswered`: a resolver is there and found no answer to this question, or none in
   * time. `dns.unreachable`: none is there, or what they say is no answer
   */
  async ask(question: DnsQuestion, signal: AbortSignal): Promise<DnsAnswer> {
    const deadline = performance.now() + this.#timeoutMs;
    const reasons: string[] = [];
    let unanswered = false;
    for (let tried = 0; tried < this.#servers.length && !signal.aborted; tried++) {
      const at = (this.#best + tried) % this.#servers.length;
      const server = this.#servers[at];
      if (server === undefined) break;
      const left = Math.max(1, Math.round((deadline - performance.now()) / (this.#servers.length - tried)));
      try {
        const answer = await askOne(
          server,
          question,
          AbortSignal.any([signal, AbortSignal.timeout(left)]),
          left,
        );
        this.#best = at;
        return answer;
      } catch (error) {
        const failed = error instanceof SealgateError ? error : unreachable(String(error));
        unanswered ||= failed.code === 'dns.unanswered';
        reasons.push(`${server.name}: ${printable(failed.reason ?? failed.publicText)}`);
      }
    }
    const reason = reasons.join('; ') || 'no answer in time';
    throw unanswered ? dnsUnanswered(reason) : unreachable(reason);
  }
}

/** Half-way without an answer it is asked whether it is there at all, since many names' own servers are silent. */
async function askOne(
  server: DnsServer,
  question: DnsQuestion,
  signal: AbortSignal,
  milliseconds: number,
): Promise<DnsAnswer> {
  let isThere = false;
  const probe = setTimeout(() => {
    exchange(server, IS_IT_THERE, signal).then(
      () => {
        isThere = true;
      },
      (error: unknown) => {
        // SERVFAIL is a sign of life too.
        isThere = error instanceof SealgateError && error.code === 'dns.unanswered';
      },
    );
  }, milliseconds / 2);
  try {
    return await exchange(server, question, signal);
  } catch (error) {
    throw isThere && signal.aborted ? dnsUnanswered('no answer in time') : error;
  } finally {
    clearTimeout(probe);
  }
}

function exchange(server: DnsServer, question: DnsQuestion, signal: AbortSignal): Promise<DnsAnswer> {
  const id = randomInt(0x10000);
  const asked = dnsQuestion(question, id);
  const socket = connect({ host: server.host, port: server.port, noDelay: true });
  return new Promise<DnsAnswer>((resolve, reject) => {
    const abandon = () => reject(unreachable('no answer in time'));
    signal.addEventListener('abort', abandon, { once: true });
    if (signal.aborted) abandon();
    socket.on('error', (error) => reject(unreachable(error.message)));
    socket.on('close', () => reject(unreachable('it closed the connection')));
    socket.on('connect', () => socket.write(withLength(asked)));
    readMessage(socket, (message) => {
      try {
        resolve(readDnsAnswer(message, question, id));
      } catch (error) {
        reject(error);
      }
    });
  }).finally(() => socket.destroy());
}

/** RFC 1035 §4.2.2: two octets of length before each message, so one answer is never longer than 64 KiB. */
function withLength(message: Buffer): Buffer {
  const framed = Buffer.alloc(2 + message.length);
  framed.writeUInt16BE(message.length);
  message.copy(framed, 2);
  return framed;
}

function readMessage(socket: Socket, whole: (message: Buffer) => void): void {
  const pieces: Buffer[] = [];
  let held = 0;
  let wanted: number | null = null;
  socket.on('data', (piece: Buffer) => {
    pieces.push(piece);
    held += piece.length;
    if (held < 2) return;
    wanted ??= Buffer.concat(pieces).readUInt16BE();
    if (held < 2 + wanted) return;
    socket.pause();
    whole(Buffer.concat(pieces).subarray(2, 2 + wanted));
  });
}

function unreachable(reason: string): SealgateError {
  return new SealgateError({
    code: 'dns.unreachable',
    publicText: 'The name server cannot be reached.',
    duration: 'temporary',
    reason,
  });
}
