import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { SealgateError } from '../../../src/errors.ts';
import { deflated } from '../../../src/imap-proxy/deflate.ts';
import { type FuzzTarget, holds } from '../target.ts';
import { chunksOf } from './chunks.ts';

/** What stands behind COMPRESS=DEFLATE (RFC 4978): octets of a client that has not even logged in decide what zlib does. */

type Inflated = { octets: Buffer; end: 'ended' | 'failed' };

/** What a reader is given of a connection on which these chunks arrive, and how that ends. */
function inflated(chunks: readonly Buffer[], rest: Buffer): Promise<Inflated> {
  const left = [...chunks];
  const connection = new Duplex({
    read() {
      this.push(left.shift() ?? null);
    },
    write: (_chunk, _encoding, done) => done(),
  });
  const { source, sink } = deflated(connection as Socket, 'client', rest);
  const given: Buffer[] = [];
  return new Promise((resolve, reject) => {
    const end = (how: Inflated['end']): void => {
      connection.destroy();
      sink.destroy();
      resolve({ octets: Buffer.concat(given), end: how });
    };
    connection.on('error', reject);
    sink.on('error', reject);
    source.on('data', (chunk: Buffer) => given.push(chunk));
    source.resume();
    source.on('end', () => end('ended'));
    source.on('error', (error: NodeJS.ErrnoException) => {
      const isKnown =
        error instanceof SealgateError ? error.code === 'imap.inflation' : error.code?.startsWith('Z_');
      if (isKnown === true) end('failed');
      else reject(error);
    });
  });
}

const COMMANDS = Buffer.from('a LIST "" *\r\nb UID FETCH 1:* (FLAGS BODY.PEEK[])\r\n'.repeat(20));

export const imapInflateTargets: readonly FuzzTarget[] = [
  {
    name: 'imap-inflate',
    form: 'octets',
    allowed: [],
    // Of so much, no more than 4 MiB can be made.
    maxOctets: 4_096,
    budget: { ms: 200, usPerOctet: 50 },
    prepare: () => ({
      seeds: [
        deflateRawSync(COMMANDS),
        deflateRawSync(COMMANDS, { level: 0 }),
        deflateRawSync(COMMANDS, { strategy: constants.Z_FIXED }),
        deflateRawSync(COMMANDS, { finishFlush: constants.Z_SYNC_FLUSH, windowBits: 9 }),
        deflateRawSync(Buffer.alloc(1_000_000)),
        Buffer.concat([deflateRawSync(COMMANDS), COMMANDS]),
      ],
      async run(input) {
        const whole = await inflated([input], Buffer.alloc(0));
        const middle = input.length >> 1;
        const pieces = await inflated(chunksOf(input.subarray(middle)), input.subarray(0, middle));
        holds(pieces.end === whole.end, 'pieces end in the same way');
        // zlib gives out what it has before it finds the damage, as far as its buffer was full.
        const [short, long] = [whole.octets, pieces.octets].sort((a, b) => a.length - b.length);
        holds(whole.end === 'failed' || short?.length === long?.length, 'pieces give the same octets');
        holds(long?.subarray(0, short?.length).equals(short ?? long) === true, 'and no other ones');
        if (whole.end === 'ended') {
          const again = inflateRawSync(input, { finishFlush: constants.Z_SYNC_FLUSH });
          holds(again.equals(whole.octets), 'it is what zlib makes of it at once');
        }
        return whole;
      },
    }),
  },
];
